"""A codebook that follows what it codes."""

import keras
from keras import ops


class VectorQuantizer(keras.layers.Layer):
    """Replaces each vector by the nearest codeword.

    In training, each codeword moves to the moving average of the vectors it
    was chosen for (van den Oord et al. 2017, appendix A.1), gradients pass
    straight through, and the encoder is drawn to the codewords by a loss. A
    codeword that hardly any vector chooses becomes one of the batch.

    Args:
        num_codewords: int.
        width: int. Of a vector.
        decay: float. Of the moving averages, a batch.
        commitment: float. Weight of the loss on the encoder.
        revive_below: float. A codeword chosen for less than this share of
            its even share of the vectors is dead.
        seed: int or `None`. For the choice of vectors that revive.

    Example:

    ```python
    quantizer = VectorQuantizer(num_codewords=128, width=32)
    quantizer(features).shape  # as features: [batch, 4, 4, 32]
    quantizer.codes(features)  # ints [batch, 4, 4]
    ```
    """

    def __init__(
        self,
        num_codewords,
        width,
        decay=0.99,
        commitment=0.25,
        revive_below=0.05,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_codewords = num_codewords
        self.width = width
        self.decay = decay
        self.commitment = commitment
        self.revive_below = revive_below
        self.seed = seed
        self._seeds = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        shape = (self.num_codewords, self.width)
        self.embeddings = self.add_weight(
            shape=shape,
            initializer=keras.initializers.RandomNormal(
                stddev=0.1, seed=self.seed
            ),
            trainable=False,
            name="embeddings",
        )
        # All start dead: the first batch fills the codebook.
        self.counts = self.add_weight(
            shape=shape[:1],
            initializer="zeros",
            trainable=False,
            name="counts",
        )
        self.sums = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="sums"
        )

    def call(self, features, training=False):
        """Returns codewords in the shape of the features `[..., width]`."""
        codes = self.codes(features)
        quantized = ops.take(self.embeddings.value, codes, axis=0)
        quantized = ops.stop_gradient(quantized)
        if training:
            self._follow(ops.stop_gradient(features), codes)
            distance = ops.mean(ops.square(features - quantized))
            self.add_loss(self.commitment * distance)
        return features + ops.stop_gradient(quantized - features)

    def codes(self, features):
        """The nearest codewords, ints `[...]` of features `[..., width]`."""
        table = ops.transpose(self.embeddings.value)
        # The squares of the features are the same for every codeword.
        distances = ops.sum(ops.square(table), axis=0) - 2 * ops.matmul(
            features, table
        )
        return ops.argmin(distances, axis=-1)

    def _follow(self, features, codes):
        vectors = ops.reshape(features, (-1, self.width))
        chosen = ops.one_hot(ops.reshape(codes, (-1,)), self.num_codewords)
        chosen = ops.cast(chosen, vectors.dtype)
        old, new = self.decay, 1 - self.decay
        counts = old * self.counts + new * ops.sum(chosen, axis=0)
        sums = old * self.sums + new * ops.matmul(
            ops.transpose(chosen), vectors
        )
        num_vectors = ops.shape(vectors)[0]
        share = ops.cast(num_vectors, counts.dtype) / self.num_codewords
        dead = counts < self.revive_below * share
        # Uniform numbers, since the number of vectors may not be static.
        places = keras.random.uniform((self.num_codewords,), seed=self._seeds)
        places = ops.cast(places * ops.cast(num_vectors, "float32"), "int32")
        places = ops.minimum(places, num_vectors - 1)
        fresh = ops.take(vectors, places, axis=0)
        counts = ops.where(dead, share, counts)
        sums = ops.where(dead[:, None], share * fresh, sums)
        self.counts.assign(counts)
        self.sums.assign(sums)
        self.embeddings.assign(sums / counts[:, None])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_codewords": self.num_codewords,
            "width": self.width,
            "decay": self.decay,
            "commitment": self.commitment,
            "revive_below": self.revive_below,
            "seed": self.seed,
        }
