"""Saves a run at the end of epochs, and takes it up again."""

import json

import keras
import numpy as np

from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.checkpointing.run_state import assign_variables
from keras_paligemma.training.checkpointing.run_state import check_arrays
from keras_paligemma.training.checkpointing.run_state import random_state
from keras_paligemma.training.checkpointing.run_state import read_variables
from keras_paligemma.training.checkpointing.run_state import run_variables
from keras_paligemma.training.checkpointing.run_state import set_random_state
from keras_paligemma.training.checkpointing.store import CheckpointStore
from keras_paligemma.training.processes import is_chief
from keras_paligemma.training.workdir import check_same_run


class TrainingCheckpoint(StepCallback):
    """Saves all that a run needs to go on exactly, at the end of each epoch.

    That is: weights, optimizer, its schedules' step, the random states, the
    position in the data, and what the other callbacks count. Files are
    written while training goes on.

    Example:

    ```python
    batches = TrainingBatches(
        mixture, model.preprocessor, 64, total_steps=1000, steps_per_epoch=100
    )
    stopping = keras.callbacks.EarlyStopping("loss", patience=3)
    checkpoint = TrainingCheckpoint("runs/flowers/checkpoints", [stopping])
    first = checkpoint.restore(model, batches)  # 0, or where it was killed
    model.fit(
        batches,
        epochs=batches.num_epochs,
        initial_epoch=first,
        callbacks=[stopping, checkpoint],  # this one last
    )
    ```

    Args:
        directory: path.
        callbacks: list of callbacks whose state is kept too: all
            `StepCallback`s by what they say, others by their attributes that
            are numbers, strings or `None`. Give them to `fit` too, before
            this one.
        keep: int. How many of the newest checkpoints to keep.
        keep_every: int or `None`. Checkpoints whose step is a multiple of it
            are kept for ever.
        every_epochs: int. Epochs from one checkpoint to the next.
        run: dict that JSON can hold, or `None`. What tells this run from
            others; a checkpoint with another one is refused.
    """

    def __init__(
        self,
        directory,
        callbacks=None,
        keep=2,
        keep_every=None,
        every_epochs=1,
        run=None,
    ):
        super().__init__()
        if every_epochs < 1:
            raise ValueError(
                "`every_epochs` must be 1 or more. "
                f"Received: every_epochs={every_epochs}"
            )
        self.store = CheckpointStore(directory, keep, keep_every)
        self.callbacks = list(callbacks or ())
        self.every_epochs = every_epochs
        self.run = json.loads(json.dumps(run))
        self._batches = None
        self._states = None

    def restore(self, model, batches=None):
        """Puts a model where the newest whole checkpoint stands.

        Args:
            model: `keras.Model`, compiled as for the run.
            batches: `TrainingBatches`, which are put there too.

        Returns:
            An int: the `initial_epoch` for `fit`; 0 without a checkpoint.

        Raises:
            ValueError: If the checkpoint is of another model, optimizer or
                run, or all checkpoints are damaged.
        """
        self._batches = batches
        variables = run_variables(model)
        found = self.store.latest(
            lambda shapes: check_arrays(variables, shapes)
        )
        epoch = 0
        if found is not None:
            step, facts, arrays = found
            if self.run is not None:
                check_same_run(
                    facts["run"] or {}, self.run, self.store.directory
                )
            assign_variables(variables, arrays)
            set_random_state(facts["random"])
            self._states = facts["callbacks"]
            epoch = facts["epoch"]
            for callback in (self, *self.callbacks):
                if isinstance(callback, StepCallback):
                    callback.step = step
        if batches is not None:
            batches.epoch = epoch
        return epoch

    def on_train_begin(self, logs=None):
        # Others may have begun anew in their own `on_train_begin`.
        states, self._states = self._states, None
        if states is None:
            return
        for callback, state in zip(self.callbacks, states, strict=True):
            _set_state(callback, state)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self._batches is not None:
            self._batches.epoch = epoch

    def on_step_end(self, step, logs):
        if self._batches is not None and step >= self._batches.total_steps:
            # The last epoch may be shorter than the others.
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        done = epoch + 1
        last = self._batches is not None and done >= self._batches.num_epochs
        if done % self.every_epochs and not last:
            return
        variables = run_variables(self.model)
        facts = {
            "epoch": done,
            "run": self.run,
            "random": random_state(),
            "callbacks": [_get_state(callback) for callback in self.callbacks],
        }
        arrays = read_variables(variables)
        if is_chief() or keras.backend.backend() == "jax":
            # On JAX every process writes its part of what is spread.
            self.store.save(self.step, arrays, facts)

    def on_train_end(self, logs=None):
        self.store.wait()


def _get_state(callback):
    if isinstance(callback, StepCallback):
        return callback.get_state()
    if isinstance(callback, keras.callbacks.Callback):
        return {
            name: value
            for name, value in _plain(vars(callback)).items()
            if not name.startswith("_")
        }
    return {}


def _plain(attributes):
    plain = {}
    for name, value in attributes.items():
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            plain[name] = value
    return plain


def _set_state(callback, state):
    if isinstance(callback, StepCallback):
        callback.set_state(state)
    else:
        for name, value in state.items():
            setattr(callback, name, value)
