"""Batches of a mixture read ahead by several processes."""

import dataclasses
import pickle


def read_and_count(mixture, start, size):
    """A batch of a mixture, and what was skipped in it, by reason."""
    before = mixture.problems.counts
    batch = mixture.batch(start, size)
    after = mixture.problems.counts
    return batch, {k: n - before.get(k, 0) for k, n in after.items()}


@dataclasses.dataclass(frozen=True)
class _ReadBatch:
    """Reads the batch of a step; also what was skipped in it, by reason."""

    mixture: object
    batch_size: int

    def __call__(self, step):
        start = step * self.batch_size
        batch = read_and_count(self.mixture, start, self.batch_size)
        # One opaque value: grain would move each array into shared memory of
        # its own, which is slower for small ones and outlives the reader.
        return pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)


def read_batches(mixture, batch_size, first_step=0, steps=None, workers=0):
    """Yields the batches of a mixture in order, read by several processes.

    How many processes there are changes nothing in what comes out. They are
    new Python processes: a script that asks for them must keep what it runs
    below `if __name__ == "__main__":`, and records must be picklable.

    Args:
        mixture: `Mixture`. What its processes skip is counted in its
            `problems`.
        batch_size: int.
        first_step: int. Where to begin, for resuming.
        steps: int or `None`. How many batches; without end by default.
        workers: int. Reader processes of grain; 0 reads in this process.

    Yields:
        dicts with the lists `"images"`, `"prompts"` and `"responses"`.

    Example:

    ```python
    for batch in read_batches(mixture, 32, first_step=100, workers=4):
        inputs, labels, weights = preprocessor(batch)
    ```
    """
    read = _ReadBatch(mixture, batch_size)
    if workers == 0:
        step = first_step
        while steps is None or step < first_step + steps:
            yield mixture.batch(step * batch_size, batch_size)
            step += 1
        return
    # Here and not above: grain imports JAX, which importing this package must
    # not.
    import grain
    from absl import flags

    # grain reads options of the command line that only a program under
    # `absl.app` has parsed; elsewhere they keep their defaults.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    stop = 2**62 // batch_size if steps is None else first_step + steps
    numbers = grain.MapDataset.range(first_step, stop)
    # More threads in a process would only compete for its one interpreter.
    dataset = numbers.map(read).to_iter_dataset(
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    )
    options = grain.MultiprocessingOptions(
        num_workers=workers, per_worker_buffer_size=1
    )
    iterator = iter(dataset.mp_prefetch(options))
    try:
        for data in iterator:
            batch, skipped = pickle.loads(data)
            mixture.problems.merge(skipped)
            yield batch
    finally:
        iterator.close()
