"""Measures how many pictures a second the synthetic world draws.

    python -m tests.benchmarks.synthetic

Prints records a second (scene, words and text; for segment with a codec that
costs nothing) by task and size, in one process and in one process a core.
"""

import os

# One thread a process, so that processes and cores are the same number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import multiprocessing  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402

from keras_paligemma.data.synthetic import LANGUAGES  # noqa: E402
from keras_paligemma.data.synthetic import SyntheticWorld  # noqa: E402
from keras_paligemma.tasks import TASKS  # noqa: E402
from tests.benchmarks.measure import format_table  # noqa: E402

SECONDS = 2.0


class NoCodec:
    """Codes every mask as zeros."""

    def encode(self, crops):
        return np.zeros((len(crops), 16), int)


def records_a_second(size, tasks, start=0):
    """Draws records for some seconds, the tasks in turn.

    Returns:
        Records a second of wall time, and a second of this process's CPU
        time, which other work on the machine does not change as much.
    """
    world = SyntheticWorld(size, languages=LANGUAGES, codec=NoCodec())
    for task in tasks:
        world.example(start, task)
    count, begin, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < SECONDS:
        world.example(start + count, tasks[count % len(tasks)])
        count += 1
    seconds = time.perf_counter() - begin
    return count / seconds, count / (time.process_time() - cpu)


def main():
    cores = len(os.sched_getaffinity(0))
    rows = []
    for size in (112, 224):
        for tasks in (*([task] for task in TASKS), list(TASKS)):
            name = tasks[0] if len(tasks) == 1 else "all in turn"
            rates = records_a_second(size, tasks)
            rows.append([str(size), name, *(f"{rate:.0f}" for rate in rates)])
    header = ["pixels", "task", "a second", "a CPU second"]
    print(format_table(header, rows))
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for size in (112, 224):
            work = [(size, list(TASKS), n * 10**6) for n in range(cores)]
            rates = np.sum(pool.starmap(records_a_second, work), axis=0)
            print(
                f"{size} pixels, {cores} processes: {rates[0]:.0f} a second, "
                f"{rates[1]:.0f} by CPU time"
            )


if __name__ == "__main__":
    main()
