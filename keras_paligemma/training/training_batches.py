"""The batches of a run, as a map from step to batch."""

import concurrent.futures
import threading

import keras


class TrainingBatches(keras.utils.PyDataset):
    """The batches of a run: the same step always gives the same batch.

    So a run can go on anywhere. An epoch here is a stretch of
    `steps_per_epoch` steps, after which `fit` evaluates and saves; it need
    not be a pass over the data. The next batches are made ready in threads.

    Example:

    ```python
    batches = TrainingBatches(
        mixture, model.preprocessor, batch_size=64, total_steps=1000
    )
    x, y, sample_weight = batches.at_step(999)
    model.fit(batches, epochs=batches.num_epochs)
    ```

    Args:
        source: object with `batch(start, size)`, a pure function that
            returns raw examples: a dict of lists `images`, `prompts`,
            `responses`. A `Mixture`, for instance.
        preprocessor: callable of such a dict.
        batch_size: int. Examples a step, of all processes together.
        total_steps: int. Steps of the run.
        steps_per_epoch: int. Steps between evaluations and checkpoints; all
            steps by default.
        process_index: int. Which part of every batch this process feeds.
        process_count: int. Into how many parts batches are split.
        threads: int. Which prepare batches.
        ahead: int. Batches kept ready.

    Raises:
        ValueError: If a number is not positive, or the processes cannot
            share a batch evenly.
    """

    # What `PaliGemmaCausalLM.fit` asks for: it leaves order and batches alone.
    in_order = True
    preprocessed = True

    def __init__(
        self,
        source,
        preprocessor,
        batch_size,
        total_steps,
        steps_per_epoch=None,
        process_index=0,
        process_count=1,
        threads=2,
        ahead=4,
    ):
        # Keras' own workers would hand batches left over from one epoch to
        # the next one.
        super().__init__(workers=1)
        if steps_per_epoch is None:
            steps_per_epoch = total_steps
        for name, value in (
            ("batch_size", batch_size),
            ("total_steps", total_steps),
            ("steps_per_epoch", steps_per_epoch),
            ("process_count", process_count),
            ("threads", threads),
            ("ahead", ahead),
        ):
            if value < 1:
                raise ValueError(
                    f"`{name}` must be 1 or more. Received: {name}={value}"
                )
        if batch_size % process_count or not (
            0 <= process_index < process_count
        ):
            raise ValueError(
                "The processes must share each batch evenly. Received: "
                f"batch_size={batch_size}, process_index={process_index}, "
                f"process_count={process_count}"
            )
        self.source = source
        self.preprocessor = preprocessor
        self.batch_size = batch_size
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.process_index = process_index
        self.process_count = process_count
        self.epoch = 0
        self._ahead = ahead
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._ready = {}
        self._lock = threading.Lock()

    @property
    def num_epochs(self):
        """The number of epochs; the last may be shorter."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def num_batches(self):
        return self.steps_per_epoch

    def __len__(self):
        return self.steps_per_epoch

    def __getitem__(self, index):
        return self.at_step(self.epoch * self.steps_per_epoch + index)

    def at_step(self, step):
        """The batch of a step, counted from 0 at the beginning of the run."""
        with self._lock:
            wanted = range(step, step + self._ahead + 1)
            for old in [key for key in self._ready if key not in wanted]:
                self._ready.pop(old).cancel()
            for key in wanted:
                # The first is made even past the end: `fit` may look at it.
                if key not in self._ready and (
                    key < self.total_steps or key == step
                ):
                    self._ready[key] = self._pool.submit(self._make, key)
            future = self._ready[step]
        return future.result()

    def raw(self, step):
        """The raw examples of a step, for a closer look."""
        size = self.batch_size // self.process_count
        start = step * self.batch_size + self.process_index * size
        return self.source.batch(start, size)

    def _make(self, step):
        return self.preprocessor(self.raw(step))
