"""The gradients of a training step, the same way on every backend."""

import keras
import numpy as np


class GradientRecorder(keras.optimizers.Optimizer):
    """An optimizer whose step puts the gradient in place of the variable."""

    def __init__(self, **kwargs):
        super().__init__(learning_rate=1.0, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        self.assign(variable, keras.ops.cast(gradient, variable.dtype))


def values_of(variables):
    """Dict of path to a NumPy copy."""
    return {
        v.path: np.array(
            keras.ops.convert_to_numpy(keras.ops.cast(v, "float32"))
        )
        for v in variables
    }


def loss_and_gradients(task, inputs, targets, weights):
    """Runs one compiled training step; the weights are lost.

    Args:
        task: `PaliGemmaCausalLM`, compiled with a `GradientRecorder`.
        inputs, targets, weights: What `train_on_batch` takes.

    Returns:
        float, and a dict of path to gradient of each trainable variable.
    """
    logs = task.train_on_batch(inputs, targets, weights, return_dict=True)
    return float(logs["loss"]), values_of(task.trainable_variables)


def relative_errors(ours, theirs):
    """Distance of two gradients over the size of the second, by path."""
    if set(ours) != set(theirs):
        raise ValueError(
            "Both sides must have the same paths. Received: "
            f"{sorted(set(ours) ^ set(theirs))} on one side only"
        )
    return {
        path: float(
            np.linalg.norm(ours[path] - theirs[path])
            / max(np.linalg.norm(theirs[path]), 1e-12)
        )
        for path in theirs
    }
