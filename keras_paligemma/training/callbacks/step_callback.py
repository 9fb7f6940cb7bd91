"""What all callbacks of this package have in common: the step of the run."""

import keras


class StepCallback(keras.callbacks.Callback):
    """A callback that knows the step of the run and what it has to remember.

    Keras counts batches from the beginning of an epoch, and from nothing
    after a resumed start. Here `step` is the number of batches the run has
    trained on, those before an interruption included. A subclass does its
    work in `on_step_end`; what it counts goes into `get_state`, so that a
    checkpoint can hold it.

    Example:

    ```python
    class Count(StepCallback):
        def on_step_end(self, step, logs):
            if self.due(100):
                print(step, logs["loss"])
    ```
    """

    def __init__(self):
        super().__init__()
        self.step = 0
        self._step_before = 0
        self._epoch_begin = 0

    def get_state(self):
        """What a checkpoint keeps: a dict that JSON can hold."""
        return {}

    def set_state(self, state):
        """Takes back what `get_state` gave."""

    def on_step_end(self, step, logs):
        """Called after each execution of the training step.

        Args:
            step: int. Batches trained on in the run.
            logs: dict. May be added to.
        """

    def due(self, every):
        """Whether a multiple of `every` lies in the steps just made.

        They are several where `steps_per_execution` is above 1.
        """
        return self.step // every > self._step_before // every

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_begin = self.step

    def on_train_batch_end(self, batch, logs=None):
        self._step_before = self.step
        self.step = self._epoch_begin + batch + 1
        self.on_step_end(self.step, {} if logs is None else logs)
