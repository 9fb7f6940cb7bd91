"""Writes the arrays of a checkpoint into the variables of a model."""

import keras

from keras_paligemma.checkpoints.arrays import BLOCK_BYTES
from keras_paligemma.checkpoints.host_memory import adopt
from keras_paligemma.checkpoints.host_memory import aligned_empty
from keras_paligemma.checkpoints.host_memory import numpy_dtype
from keras_paligemma.checkpoints.table import check_shapes


def assign_arrays(variables, arrays, progress=None):
    """Writes each array into the variable of its path, one after the other.

    All paths and shapes are compared first; only if all fit is anything
    read. Values are cast to the variable's dtype. At any time the memory
    taken is that of the variables and a few blocks of rows.

    Args:
        variables: dict of path to `keras.Variable`.
        arrays: mapping of path to `LazyArray`, with the same paths.
        progress: callable or `None`. Called after each variable with the
            path, the number of bytes written so far, and of all bytes.

    Raises:
        ValueError: if a path is missing or left over, or a shape differs.

    Example:

    ```python
    checkpoint = open_checkpoint("/models/paligemma")
    assign_arrays(variables_by_path, checkpoint.arrays)
    ```
    """
    shapes = {path: tuple(v.shape) for path, v in variables.items()}
    check_shapes(arrays, shapes)
    total = sum(arrays[path].num_bytes for path in variables)
    done = 0
    for path, variable in variables.items():
        array = arrays[path]
        if keras.config.backend() == "torch":
            _copy_rows(variable, array)
        else:
            _assign_whole(variable, array)
        done += array.num_bytes
        if progress is not None:
            progress(path, done, total)


def _assign_whole(variable, array):
    """Reads into memory that then becomes the variable's value."""
    dtype = numpy_dtype(keras.backend.standardize_dtype(variable.dtype))
    shape = tuple(variable.shape)
    distributed = keras.distribution.distribution() is not None
    if array.num_bytes > BLOCK_BYTES and not distributed:
        # Lets go of the old value before the new one takes memory.
        variable.assign(adopt(aligned_empty(shape, dtype, zeros=True)))
    values = aligned_empty(shape, dtype)
    array.copy_into(values)
    # A distributed variable spreads the value as its layout says.
    variable.assign(values if distributed else adopt(values))


def _copy_rows(variable, array):
    """Specific to torch: writes blocks of rows into the value in place."""
    import torch

    with torch.no_grad():
        value = variable.value
        if not array.shape:
            value.copy_(adopt(array.read()))
            return
        for start, stop in array.blocks():
            value[start:stop].copy_(adopt(array.read_rows(start, stop)))
