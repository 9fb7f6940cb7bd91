"""Lets a callback use the model in the midst of training, without a trace."""

import contextlib

import keras
import numpy as np

from keras_paligemma.training.checkpointing.run_state import random_state
from keras_paligemma.training.checkpointing.run_state import set_random_state


@contextlib.contextmanager
def undisturbed(model):
    """Puts back metrics and global random states when the block ends.

    The next step is then what it would have been, to the bit: `generate` and
    `evaluate` change no weights, but `evaluate` begins its metrics anew,
    which are those of training, and a sampler or a user's function may draw
    random numbers.

    Example:

    ```python
    def on_step_end(self, step, logs):
        model = self.model
        with undisturbed(model):
            results = model.evaluate(data, return_dict=True)
    ```

    Args:
        model: `keras.Model`. As `callback.model` gives it: on JAX only that
            one has the values of the step that was just made.
    """
    states = random_state()
    metrics = [
        (variable, np.array(keras.ops.convert_to_numpy(variable), copy=True))
        for variable in model.metrics_variables
    ]
    # PyTorch: `evaluate` puts its modules into evaluation mode.
    training = keras.backend.backend() == "torch" and model.training
    try:
        yield
    finally:
        for variable, value in metrics:
            variable.assign(value)
        if training:
            model.train()
        set_random_state(states)
