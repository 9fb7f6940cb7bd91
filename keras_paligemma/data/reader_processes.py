"""A mixture whose examples are read in processes of their own."""

import concurrent.futures
import multiprocessing
import os
import threading

from keras_paligemma.data.reading import read_and_count

# Of a reader process: the mixture it reads.
_read = {}


class ReaderProcesses:
    """Reads the batches of a mixture in other processes.

    What comes out is the mixture's own, whatever their number. Drawing or
    decoding images in threads of the training process would hold up its
    every operation; processes do not. They are new Python processes: a
    script must keep what it runs below `if __name__ == "__main__":`.

    Args:
        mixture: `Mixture`, picklable. What its processes skip is counted in
            its `problems`.
        workers: int. How many processes.

    Raises:
        ValueError: If `workers` is not positive.

    Example:

    ```python
    with ReaderProcesses(mixture, workers=2) as source:
        source.batch(start=64, size=32) == mixture.batch(64, 32)
        train(model, stage, source, workdir="runs/captions")
    ```
    """

    def __init__(self, mixture, workers):
        if workers < 1:
            raise ValueError(
                "`workers` must be 1 or more; without processes of its own, "
                f"a mixture is read as it is. Received: workers={workers}"
            )
        self.mixture = mixture
        self._pool = concurrent.futures.ProcessPoolExecutor(
            workers,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(mixture,),
        )
        # Each process has a core at most: more threads would take those of
        # the training. Libraries read this when they are imported.
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"
        try:
            # A process starts with each of the first calls.
            for _ in range(workers):
                self._pool.submit(_nothing)
        finally:
            if before is None:
                del os.environ["OMP_NUM_THREADS"]
            else:
                os.environ["OMP_NUM_THREADS"] = before

    def batch(self, start, size):
        """Some consecutive examples; see `Mixture.batch`."""
        batch, skipped = self._pool.submit(_batch, start, size).result()
        self.mixture.problems.merge(skipped)
        return batch

    def close(self):
        """Ends the processes."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __getattr__(self, name):
        # Counts and settings are the mixture's.
        if name.startswith("_") or name == "mixture":
            raise AttributeError(name)
        return getattr(self.mixture, name)


def _begin(mixture):
    _read["mixture"] = mixture
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    """A training that is killed cannot say goodbye to its readers."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _nothing():
    """The first call of a process, so that it starts."""


def _batch(start, size):
    return read_and_count(_read["mixture"], start, size)
