"""A mixture whose examples are read in processes of their own."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.context
import os
import pathlib
import pickle
import tempfile
import threading

from keras_paligemma.data.reading import read_and_count

# Examples of a block that a process reads in one call.
_IN_A_CALL = 64
# Of a reader process: the mixture it reads.
_read = {}
# Libraries read these when they are imported. A process has a core at most,
# for more threads would take those of the training; and no accelerator, whose
# memory the training has taken: what codes masks runs on the CPU.
_OF_READERS = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
}


class ReaderProcesses:
    """Reads the batches of a mixture in other processes.

    What comes out is the mixture's own, whatever their number. Drawing or
    decoding images in threads of the training process would hold up its
    every operation; processes do not. They are new Python processes, which see
    no accelerator: a script must keep what it runs below `if __name__ ==
    "__main__":`.

    Args:
        mixture: `Mixture`, picklable. What its processes skip is counted in
            its `problems`.
        workers: int. How many processes.
        at_once: int or `None`. If given, so many examples are read in one go
            by all processes, and then handed out while they rest. Where there
            is no core to spare, reading beside the training holds up its
            every operation: on two cores this trained a third faster. Up to
            twice as many examples are held in memory.

    Raises:
        ValueError: If `workers` or `at_once` is not positive.

    Example:

    ```python
    with ReaderProcesses(mixture, workers=2) as source:
        source.batch(start=64, size=32) == mixture.batch(64, 32)
        train(model, stage, source, workdir="runs/captions")
    ```
    """

    def __init__(self, mixture, workers, at_once=None):
        if workers < 1:
            raise ValueError(
                "`workers` must be 1 or more; without processes of its own, "
                f"a mixture is read as it is. Received: workers={workers}"
            )
        if at_once is not None and at_once < 1:
            raise ValueError(
                "`at_once` must be 1 or more, or `None`. Received: "
                f"at_once={at_once}"
            )
        self.mixture = mixture
        self.workers = workers
        self.at_once = at_once
        self._blocks = {}
        self._lock = threading.Lock()
        # By a file: a process takes what is sent along piece by piece, while
        # it imports what is in it, and the next would only start after that.
        self._folder = tempfile.TemporaryDirectory(prefix="readers_")
        path = pathlib.Path(self._folder.name) / "mixture.pickle"
        path.write_bytes(pickle.dumps(mixture))
        self._pool = concurrent.futures.ProcessPoolExecutor(
            workers,
            _ReaderContext(),
            initializer=_begin,
            initargs=(str(path),),
        )
        # Processes start with the first calls.
        for _ in range(workers):
            self._pool.submit(_nothing)

    def batch(self, start, size):
        """Some consecutive examples; see `Mixture.batch`."""
        if self.at_once is None or size == 0:
            return self._read([(start, size)])
        stop = start + size
        numbers = range(start // self.at_once, (stop - 1) // self.at_once + 1)
        parts = []
        with self._lock:
            for number in numbers:
                first = number * self.at_once
                part = slice(max(0, start - first), stop - first)
                block = self._block(number)
                parts.append({k: rows[part] for k, rows in block.items()})
        return _joined(parts)

    def _block(self, number):
        """The examples of a block, read unless they are still there."""
        if number not in self._blocks:
            # The one before may still be asked for.
            self._blocks = {
                n: block for n, block in self._blocks.items() if n == number - 1
            }
            first = number * self.at_once
            stop = first + self.at_once
            self._blocks[number] = self._read(
                [
                    (start, min(_IN_A_CALL, stop - start))
                    for start in range(first, stop, _IN_A_CALL)
                ]
            )
        return self._blocks[number]

    def _read(self, parts):
        """Examples of the processes, given as pairs of start and size."""
        batches = []
        for batch, skipped in self._pool.map(_batch, *zip(*parts, strict=True)):
            self.mixture.problems.merge(skipped)
            batches.append(batch)
        return _joined(batches)

    def close(self):
        """Ends the processes."""
        self._pool.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __getattr__(self, name):
        # Counts and settings are the mixture's.
        own = ("mixture", "workers", "at_once")
        if name.startswith("_") or name in own:
            raise AttributeError(name)
        return getattr(self.mixture, name)


class _ReaderProcess(multiprocessing.context.SpawnProcess):
    """A new Python process with the readers' environment.

    The executor starts it when there is work for it, perhaps late.
    """

    def start(self):
        with _environment(_OF_READERS):
            super().start()


class _ReaderContext(multiprocessing.context.SpawnContext):
    Process = _ReaderProcess


@contextlib.contextmanager
def _environment(variables):
    """Environment variables that hold within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin(path):
    _read["mixture"] = pickle.loads(pathlib.Path(path).read_bytes())
    # Where cores are few, the training's threads, which wait for each other,
    # come first; a training that waits for a batch leaves the core anyway.
    if hasattr(os, "nice"):
        os.nice(10)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    """A training that is killed cannot say goodbye to its readers."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _nothing():
    """The first call of a process, so that it starts."""


def _joined(batches):
    """Batches one after the other as one."""
    if len(batches) == 1:
        return batches[0]
    return {
        key: [row for batch in batches for row in batch[key]]
        for key in batches[0]
    }


def _batch(start, size):
    return read_and_count(_read["mixture"], start, size)
