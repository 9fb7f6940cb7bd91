"""Zeros that take no memory until they are written."""

import keras

from keras_paligemma.checkpoints.host_memory import adopt
from keras_paligemma.checkpoints.host_memory import aligned_empty
from keras_paligemma.checkpoints.host_memory import numpy_dtype


@keras.saving.register_keras_serializable(package="keras_paligemma")
class LazyZeros(keras.initializers.Initializer):
    """Zeros for variables that a checkpoint is about to overwrite.

    On a CPU the value stands for pages that were never touched and takes no
    resident memory.

    Example:

    ```python
    layer = keras.layers.Dense(4, kernel_initializer=LazyZeros())
    ```
    """

    def __call__(self, shape, dtype=None):
        dtype = keras.backend.standardize_dtype(dtype or keras.config.floatx())
        # With a distribution the value is made in place, shard by shard.
        if keras.distribution.distribution() is not None:
            return keras.ops.zeros(shape, dtype)
        return adopt(aligned_empty(shape, numpy_dtype(dtype), zeros=True))
