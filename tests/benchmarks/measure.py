"""Measuring: a fresh process, its peak memory, the memory's bandwidth."""

import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def run_fresh(module, arguments, backend):
    """Runs `python -m module arguments` and reads its last line as JSON.

    Args:
        module: string. A module whose output ends in one line of JSON.
        arguments: list of strings.
        backend: string. The value of `KERAS_BACKEND` in that process.

    Returns:
        What the line says, or `{"error": text}` when the process failed.
    """
    environment = dict(os.environ, KERAS_BACKEND=backend)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    completed = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = completed.stdout.strip().splitlines()
    if completed.returncode == 0 and lines:
        return json.loads(lines[-1])
    reason = completed.stderr.strip().splitlines() or ["no output"]
    return {"error": f"exit code {completed.returncode}: {reason[-1]}"}


def time_calls(function, repeats):
    """Calls once to warm up, then `repeats` times; returns seconds of each."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return {"first": seconds[0], "seconds": seconds[1:]}


def peak_memory():
    """Returns the largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_bandwidth(size=1 << 30, repeats=8):
    """Returns bytes a second that all cores together read from memory."""
    import numpy as np

    cores = len(os.sched_getaffinity(0))
    parts = np.array_split(np.ones(size // 4, "float32"), cores)
    best = float("inf")
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(repeats):
            begin = time.perf_counter()
            list(pool.map(lambda part: np.dot(part, part), parts))
            best = min(best, time.perf_counter() - begin)
    return size / best


def format_table(header, rows):
    """Returns lines of aligned columns, the first one flush left."""
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )
