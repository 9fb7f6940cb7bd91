"""The table of token embeddings, read forwards and in reverse."""

import keras
from keras import ops

from keras_paligemma.layers.initialization import initializer_or
from keras_paligemma.layers.linear import vocabulary_logits


@keras.saving.register_keras_serializable(package="keras_paligemma")
class TokenEmbedding(keras.layers.ReversibleEmbedding):
    """`keras.layers.ReversibleEmbedding` with tied weights and fast logits.

    Forwards it looks tokens up, unscaled (the decoder scales them). With
    `reverse=True` it scores every token of the vocabulary, in float32 and
    soft capped where `logit_soft_cap` is set.

    Args:
        input_dim: int. Size of the vocabulary.
        output_dim: int. Width of the decoder.
        logit_soft_cap: float or `None`. Caps the logits (Gemma 2: 30).
        embeddings_initializer: string or `keras.initializers.Initializer`.
        **kwargs: Further arguments of `keras.layers.ReversibleEmbedding`.
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        logit_soft_cap=None,
        embeddings_initializer=None,
        **kwargs,
    ):
        if embeddings_initializer is None:
            embeddings_initializer = keras.initializers.VarianceScaling(
                mode="fan_in", distribution="untruncated_normal"
            )
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=initializer_or(embeddings_initializer),
            logit_soft_cap=logit_soft_cap,
            **kwargs,
        )

    def call(self, inputs, reverse=False):
        if not reverse:
            return super().call(inputs)
        # Keras leaves embedding layers out of autocasting.
        hidden = ops.cast(inputs, self.compute_dtype)
        embeddings = ops.cast(self.embeddings, self.compute_dtype)
        return vocabulary_logits(hidden, embeddings, self.logit_soft_cap)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras leaves subclasses out unless told that they are meant.
        super().quantize(mode, type_check=False, config=config)

    def quantized_call(self, inputs, reverse=False):
        outputs = super().quantized_call(inputs, reverse=reverse)
        # Keras gives the logits of a quantized table in the compute dtype.
        return ops.cast(outputs, "float32") if reverse else outputs

    def compute_output_spec(self, inputs, reverse=False):
        last = self.input_dim if reverse else self.output_dim
        shape = (*inputs.shape[:-1], last) if reverse else (*inputs.shape, last)
        dtype = "float32" if reverse else self.compute_dtype
        return keras.KerasTensor(shape, dtype=dtype)
