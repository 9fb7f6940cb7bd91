"""Where a shuffle puts an index, without a list of all of them."""

import functools

import numpy as np

# grain's index shuffle permutes 2**16 numbers at least and tries again until
# one is in range: 4 microseconds an index from here on, 5 ms for 9 records.
_SMALL = 2**16
_ROUNDS = 4


def shuffled_index(index, size, seed):
    """The place of an index in one of the orders of `size` records.

    Args:
        index: int in [0, size).
        size: int.
        seed: int. Which order.

    Returns:
        int in [0, size); another one for each index.

    Example:

    ```python
    sorted(shuffled_index(i, 4, seed=7) for i in range(4))  # [0, 1, 2, 3]
    ```
    """
    if size < _SMALL:
        return int(_permutation(size, seed)[index])
    # Here and not above: grain imports JAX, which importing this package must
    # not.
    from grain.experimental import index_shuffle

    return index_shuffle(
        index, max_index=size - 1, seed=seed % 2**32, rounds=_ROUNDS
    )


@functools.lru_cache(maxsize=256)
def _permutation(size, seed):
    order = np.random.default_rng(seed).permutation(size)
    return order.astype("uint16")
