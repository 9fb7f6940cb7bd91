"""Draws one of several captions of an image, without replacement."""

import numpy as np

from keras_paligemma.data.selection import mix_bits


def choose(choices, epoch, seed):
    """The caption of an image in an epoch.

    Each run of `len(choices)` epochs goes through all of them, in an order
    drawn anew for each run.

    Args:
        choices: sequence of str.
        epoch: int.
        seed: int. One for each image.

    Returns:
        One of the choices.

    Example:

    ```python
    [choose(("a", "b", "c"), epoch, seed=1) for epoch in range(6)]
    # each of them once in the first three, and once in the last three
    ```
    """
    cycle, position = divmod(epoch, len(choices))
    generator = np.random.default_rng(mix_bits(seed, cycle))
    return choices[generator.permutation(len(choices))[position]]
