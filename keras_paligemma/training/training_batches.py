"""The batches of a run, as a map from step to batch."""

import concurrent.futures
import threading

import keras

from keras_paligemma.training.length_groups import group_by_length
from keras_paligemma.training.length_groups import rounded_length


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
        length_window: int. The examples of so many batches are sorted by
            their number of tokens and divided anew, so that batches are
            padded to little more than their own longest text; 1 pads each to
            the preprocessor's length. Only for one process, whose
            preprocessor counts tokens (`num_tokens`).

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
        length_window=1,
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
            ("length_window", length_window),
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
        if length_window > 1 and process_count > 1:
            raise ValueError(
                "Processes that share a batch pad it to one length, so that "
                "they cannot group examples each by itself; use "
                f"`length_window=1`. Received: length_window={length_window}, "
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
        self.length_window = length_window
        self._ahead = ahead
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._ready = {}
        self._lock = threading.Lock()
        self._windows = {}
        self._windows_lock = threading.Lock()

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
        if self.length_window > 1:
            return self._grouped(step)[0]
        return self._in_order(step)

    def _in_order(self, step):
        size = self.batch_size // self.process_count
        start = step * self.batch_size + self.process_index * size
        return self.source.batch(start, size)

    def _make(self, step):
        if self.length_window == 1:
            return self.preprocessor(self._in_order(step))
        raw, longest = self._grouped(step)
        limit = self.preprocessor.sequence_length
        # The last token is only a label.
        length = rounded_length(longest - 1, limit)
        return self.preprocessor(raw, sequence_length=length)

    def _grouped(self, step):
        """The raw examples of a step, and the tokens of the longest."""
        number, place = divmod(step, self.length_window)
        raw, lengths, groups = self._window(number)
        rows = groups[place]
        chosen = {key: [values[i] for i in rows] for key, values in raw.items()}
        return chosen, max(lengths[i] for i in rows)

    def _window(self, number):
        with self._windows_lock:
            future = self._windows.get(number)
            mine = future is None
            if mine:
                future = concurrent.futures.Future()
                self._windows[number] = future
                # Batches are made ahead, into the next window or two.
                for old in sorted(self._windows)[: -2 - self._ahead]:
                    del self._windows[old]
        if mine:
            try:
                future.set_result(self._read_window(number))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _read_window(self, number):
        first = number * self.length_window
        steps = range(first, first + self.length_window)
        parts = [self._in_order(step) for step in steps]
        raw = {
            key: [v for part in parts for v in part[key]] for key in parts[0]
        }
        lengths = self.preprocessor.num_tokens(raw)
        return raw, lengths, group_by_length(lengths, self.batch_size, number)
