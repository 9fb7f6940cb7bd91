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
        return vocabulary_logits(hidden, self.table(), self.logit_soft_cap)

    def table(self):
        """All embeddings `[vocabulary, hidden_dim]` in the compute dtype.

        Of a quantized table this is a float copy, LoRA merged in.
        """
        if self.quantization_mode is None:
            return ops.cast(self.embeddings, self.compute_dtype)
        return self._dequantized(lambda values: values)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras leaves subclasses out unless told that they are meant.
        super().quantize(mode, type_check=False, config=config)

    def quantized_call(self, inputs, reverse=False):
        if not reverse:
            tokens = ops.cast(inputs, "int32")
            # Keras unpacks the whole int4 table to look up a few rows.
            return self._dequantized(lambda x: ops.take(x, tokens, axis=0))
        if self.lora_enabled:
            # Keras leaves LoRA out of the logits.
            return self.call(inputs, reverse=True)
        outputs = super().quantized_call(inputs, reverse=True)
        # Keras gives the logits of a quantized table in the compute dtype.
        return ops.cast(outputs, "float32")

    def _dequantized(self, rows_of):
        """Floats of the rows that `rows_of` takes from a table."""
        packed = next(w for w in self.weights if w.name == "embeddings")
        values = rows_of(ops.convert_to_tensor(packed))
        scale = rows_of(ops.convert_to_tensor(self.embeddings_scale))
        if self.quantization_mode == "int4":
            values = keras.quantizers.unpack_int4(
                values, self.output_dim, axis=-1
            )
        values = ops.cast(values, self.compute_dtype)
        if len(scale.shape) < len(values.shape):
            # One scale a token.
            values = values / ops.cast(scale[..., None], values.dtype)
        else:
            # One scale, and one zero, for each group of columns.
            group = ops.cast(self.g_idx, "int32")
            zero = rows_of(ops.convert_to_tensor(self.embeddings_zero))
            zero = ops.cast(ops.take(zero, group, axis=-1), values.dtype)
            scale = ops.take(scale, group, axis=-1)
            values = (values - zero) * ops.cast(scale, values.dtype)
        if not self.lora_enabled:
            return values
        added = ops.matmul(
            rows_of(ops.convert_to_tensor(self.lora_embeddings_a)),
            self.lora_embeddings_b,
        )
        added = added * (self.lora_alpha / self.lora_rank)
        return values + ops.cast(added, values.dtype)

    def compute_output_spec(self, inputs, reverse=False):
        last = self.input_dim if reverse else self.output_dim
        shape = (*inputs.shape[:-1], last) if reverse else (*inputs.shape, last)
        dtype = "float32" if reverse else self.compute_dtype
        return keras.KerasTensor(shape, dtype=dtype)
