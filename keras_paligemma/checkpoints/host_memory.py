"""Memory of the host that becomes a tensor without a copy."""

import keras
import numpy as np

from keras_paligemma.checkpoints.arrays import FLOAT_DTYPES

# Buffers aligned so are taken over by JAX and TensorFlow without a copy.
ALIGNMENT = 64


def aligned_empty(shape, dtype, zeros=False):
    """Memory for an array, aligned so that backends need not copy it.

    Args:
        shape: tuple of ints.
        dtype: dtype.
        zeros: bool. Whether to fill it with zeros. Large arrays come from
            the system as zeros, so that no page is touched.

    Returns:
        A NumPy array.
    """
    dtype = np.dtype(dtype)
    num_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    allocate = np.zeros if zeros else np.empty
    memory = allocate(num_bytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + num_bytes].view(dtype).reshape(shape)


def numpy_dtype(name):
    """The `np.dtype` of a Keras dtype, also of `"bfloat16"`."""
    return FLOAT_DTYPES.get(name) or np.dtype(name)


def adopt(array):
    """Makes a tensor of an array, which nobody may change afterwards.

    On a CPU the tensor is the array's own memory where the backend allows
    it; `keras.ops.convert_to_tensor` gives the same values, after a copy.

    Args:
        array: array from `aligned_empty`, of a float dtype.

    Returns:
        A tensor of the same shape, dtype and values.
    """
    if array.size == 0 or array.dtype not in FLOAT_DTYPES.values():
        return keras.ops.convert_to_tensor(array)
    backend = keras.config.backend()
    # === Specific to backends: each one's way to take over memory ===
    if backend == "jax":
        import jax

        return jax.device_put(array)
    if backend == "tensorflow":
        import tensorflow as tf

        # DLPack knows no bfloat16 from NumPy, so bits travel as integers.
        bits = array.view(f"uint{8 * array.dtype.itemsize}")
        tensor = tf.experimental.dlpack.from_dlpack(bits.__dlpack__())
        return tf.bitcast(tensor, tf.as_dtype(array.dtype))
    if backend == "torch":
        import torch

        bits = torch.from_numpy(array.view(f"int{8 * array.dtype.itemsize}"))
        return bits.view(getattr(torch, str(array.dtype)))
    return keras.ops.convert_to_tensor(array)
