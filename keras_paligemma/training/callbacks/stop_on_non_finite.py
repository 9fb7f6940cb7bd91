"""Stops a run whose loss is no number any more, and says where."""

import math

import keras
import numpy as np

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback


class StopOnNonFinite(StepCallback):
    """Raises an error at a loss that is infinite or no number.

    Before the next checkpoint is written: those there are from before it.
    With loss scaling (float16) single steps with infinite gradients are
    skipped by the optimizer and leave the loss finite.

    Example:

    ```python
    model.fit(batches, callbacks=[StopOnNonFinite(batches)])
    # ValueError: The loss of step 713 (epoch 8, batch 12) is nan. ...
    # Not finite in this batch: images of example 3. ...
    ```

    Args:
        batches: `TrainingBatches`; other object with `at_step(step)`, or of
            which `batches[batch]` is a batch of the epoch; or `None`. To
            look for what is amiss in the batch.
        every: int. Steps from one look to the next; looking waits for the
            step. The loss that Keras reports is a mean over the epoch until
            then, so none is missed, and with `every` above 1 the error says
            between which steps it was.
    """

    def __init__(self, batches=None, every=1):
        super().__init__()
        self.batches = batches
        self.every = check_every(every)
        self._looked = 0

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch
        self._looked = self.step

    def on_step_end(self, step, logs):
        if self.due(self.every):
            self._look(step, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._look(self.step, logs or {})

    def _look(self, step, logs):
        before, self._looked = self._looked, step
        if "loss" not in logs:
            return
        loss = float(keras.ops.convert_to_numpy(logs["loss"]))
        if math.isfinite(loss):
            return
        first = min(before + 1, step)
        where = f"step {step}" if first == step else f"steps {first} to {step}"
        epoch_begin = self._epoch_begin
        raise ValueError(
            f"The loss of {where} (epoch {self._epoch + 1}, batch "
            f"{step - epoch_begin}) is {loss}. {self._faults(first, step)} "
            "Checkpoints written before are good: mend the data, or lower "
            "the learning rate, and start again."
        )

    def _faults(self, first, last):
        """What is not finite in the batches of some steps, as a sentence."""
        if self.batches is None:
            return "Its batch was not looked at."
        for step in range(first - 1, last):
            faults = non_finite_inputs(self._batch(step))
            if faults:
                return f"Not finite in the batch of step {step + 1}: {faults}."
        return "All numbers of its batch are finite."

    def _batch(self, step):
        if hasattr(self.batches, "at_step"):
            return self.batches.at_step(step)
        return self.batches[step - self._epoch_begin]


def non_finite_inputs(batch):
    """Names the arrays and examples of a batch that hold no finite number.

    Args:
        batch: tuple or dict of arrays `[batch, ...]`, or of lists of arrays;
            what is no array of floats, such as text, is passed over.

    Returns:
        A string, such as `"images of example 3"`; empty if all is finite.
    """
    parts = batch if isinstance(batch, tuple) else (batch,)
    faults = []
    for number, part in enumerate(parts):
        name = ("inputs", "targets", "weights")[min(number, 2)]
        arrays = part if isinstance(part, dict) else {name: part}
        for key, array in arrays.items():
            faults += [
                f"{key} of example {example}"
                for example, value in enumerate(rows_of(array))
                if not is_finite(value)
            ]
    return ", ".join(faults)


def rows_of(array):
    """The rows of an array, a tensor or a list."""
    if array is None or isinstance(array, (str, bytes)):
        return []
    if isinstance(array, (list, tuple)):
        return array
    return keras.ops.convert_to_numpy(array)


def is_finite(value):
    """Whether there is no infinity or NaN in a row."""
    if isinstance(value, (list, tuple)):
        return all(is_finite(item) for item in value)
    if not hasattr(value, "dtype") and not isinstance(value, float):
        return True
    value = np.asarray(value)
    # bfloat16 is no kind of NumPy's own.
    if value.dtype.kind not in "fV":
        return True
    return bool(np.isfinite(value.astype("float32")).all())
