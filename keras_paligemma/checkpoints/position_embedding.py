"""Position embeddings of one grid of patches, for another grid."""

import math

import numpy as np

from keras_paligemma.checkpoints.arrays import LazyArray


def resize_position_embedding(array, new_grid):
    """Resizes learned position embeddings, by the published rule.

    The rule is that of the ViT loader that PaliGemma was trained with: linear
    interpolation on the grid, first and last position kept in place.

    Args:
        array: float array of shape `[grid * grid, dim]`, in raster order.
        new_grid: int. How many patches the new images have on each side.

    Returns:
        A float32 array of shape `[new_grid * new_grid, dim]`.

    Raises:
        ValueError: if the positions are no square grid.

    Example:

    >>> corners = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> resize_position_embedding(corners, 3)[:, 0]
    array([0. , 0.5, 1. , 1. , 1.5, 2. , 2. , 2.5, 3. ], dtype=float32)
    """
    array = np.asarray(array)
    grid = math.isqrt(array.shape[0])
    if array.ndim != 2 or grid * grid != array.shape[0] or new_grid < 1:
        raise ValueError(
            "Expected position embeddings of shape [grid * grid, dim] and a "
            f"positive size of the new grid. Received: shape={array.shape}, "
            f"new_grid={new_grid}"
        )
    dim = array.shape[1]
    values = array.astype("float32")
    if new_grid == grid:
        return values
    weights = _interpolation_weights(grid, new_grid)
    rows = weights @ values.reshape(grid, grid * dim).astype("float64")
    rows = rows.reshape(new_grid, grid, dim)
    return np.matmul(weights, rows).reshape(-1, dim).astype("float32")


def resized_position_embedding(array, new_grid):
    """A lazy array of position embeddings, resized when it is read.

    Args:
        array: `LazyArray` of shape `[grid * grid, dim]`.
        new_grid: int. How many patches the new images have on each side.

    Returns:
        The same `LazyArray` if the grid is that already, else a float32 one.
    """
    if array.shape[0] == new_grid * new_grid:
        return array

    def load(start, stop):
        return resize_position_embedding(array.read(), new_grid)[start:stop]

    return LazyArray(
        (new_grid * new_grid, array.shape[1]),
        "float32",
        array.source,
        load,
        cheap_rows=False,
    )


def _interpolation_weights(old, new):
    """The matrix `[new, old]` of linear interpolation between end points."""
    places = np.zeros(new)
    if new > 1:
        places = np.arange(new) * ((old - 1) / (new - 1))
    left = np.minimum(places.astype(int), max(old - 2, 0))
    right = np.minimum(left + 1, old - 1)
    share = places - left
    weights = np.zeros((new, old))
    rows = np.arange(new)
    weights[rows, left] += 1.0 - share
    weights[rows, right] += share
    return weights
