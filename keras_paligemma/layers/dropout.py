"""Dropout whose seeds are drawn outside, for blocks that are recomputed."""

import keras
from keras import ops


class DrawnSeed(keras.random.SeedGenerator):
    """A seed that was drawn before, in the form that `keras.random` takes.

    Args:
        seed: int tensor, as `keras.random.SeedGenerator.next` returned it.
    """

    def __init__(self, seed):
        # No state: the parent would make a variable.
        self._drawn = seed

    def next(self, ordered=True):
        return self._drawn


@keras.saving.register_keras_serializable(package="keras_paligemma")
class SeededDropout(keras.layers.Layer):
    """Dropout of what it is called with, by a seed it is called with.

    `keras.layers.Dropout` draws its seed when it is called. A block that is
    rematerialized is called twice, and on JAX must not change a variable.

    Args:
        rate: float in `[0, 1)`. Share of the channels that are dropped.
        seed: int or `None`. Of the seeds drawn.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(
                "`dropout` must be at least 0 and below 1. "
                f"Received: dropout={rate}"
            )
        self.rate = rate
        self.seed = seed
        self.seed_generator = None
        if rate > 0.0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def draw(self, training):
        """Returns the seed of one call, or `None` where nothing is dropped."""
        if training and self.seed_generator is not None:
            return self.seed_generator.next()
        return None

    def call(self, inputs, seed=None):
        if seed is None:
            return inputs
        chance = keras.random.uniform(ops.shape(inputs), seed=DrawnSeed(seed))
        kept = inputs / (1.0 - self.rate)
        return ops.where(chance >= self.rate, kept, ops.zeros_like(kept))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
