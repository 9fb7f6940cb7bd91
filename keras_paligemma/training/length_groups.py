"""Which examples go into a batch together: those of about one length."""

import numpy as np


def group_by_length(lengths, batch_size, seed):
    """Divides the examples of some batches by their length.

    Sorted by length they are cut into batches, whose order is drawn. A pure
    function, so that a run can go on at any step.

    Example:

    >>> [rows.tolist() for rows in group_by_length([9, 2, 8, 1], 2, seed=0)]
    [[3, 1], [2, 0]]

    Args:
        lengths: list of int. The tokens of each example.
        batch_size: int. A divisor of their number.
        seed: int or sequence of int. Of the batches' order.

    Returns:
        A list of int arrays `[batch_size]`: the examples of each batch.
    """
    order = np.argsort(lengths, kind="stable").reshape(-1, batch_size)
    return list(np.random.default_rng(seed).permutation(order))


def rounded_length(longest, limit, step=16):
    """A length that few batches have to themselves.

    On JAX and TensorFlow each length is compiled once.

    Example:

    >>> rounded_length(37, limit=64)
    48
    """
    return min(limit, -(-longest // step) * step)
