"""One block of the Gemma 1 or Gemma 2 decoder."""

import keras

from keras_paligemma.layers.decoder_attention import DecoderAttention
from keras_paligemma.layers.direct import direct_call
from keras_paligemma.layers.dropout import SeededDropout
from keras_paligemma.layers.feedforward import GatedFeedForward
from keras_paligemma.layers.rms_normalization import RMSNormalization


@keras.saving.register_keras_serializable(package="keras_paligemma")
class DecoderBlock(keras.layers.Layer):
    """Attention and feed-forward, each normalised before, Gemma 2 after too.

    Dropout stands where big_vision has it: after attention (and its post
    norm), and after the feed-forward (before its post norm).

    Args:
        attention: dict. Arguments of `DecoderAttention`.
        intermediate_dim: int. Width of the feed-forward.
        use_post_attention_norm: bool. Normalise what attention returns.
        use_post_ffw_norm: bool. Normalise what the feed-forward returns.
        layer_norm_epsilon: float. Of every norm.
        dropout: float. Share of channels dropped in training.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        attention,
        intermediate_dim,
        use_post_attention_norm=False,
        use_post_ffw_norm=False,
        layer_norm_epsilon=1e-6,
        dropout=0.0,
        **kwargs,
    ):
        # The tables of rotary positions must stay float32.
        super().__init__(autocast=False, **kwargs)
        self.attention_config = dict(attention)
        self.intermediate_dim = intermediate_dim
        self.use_post_attention_norm = use_post_attention_norm
        self.use_post_ffw_norm = use_post_ffw_norm
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout_rate = dropout

    def build(self, input_shape):
        def norm(name):
            layer = RMSNormalization(
                epsilon=self.layer_norm_epsilon,
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build(input_shape)
            return layer

        self.attention_norm = norm("attention_norm")
        self.attention = DecoderAttention(
            **self.attention_config, dtype=self.dtype_policy, name="attention"
        )
        self.attention.build(input_shape)
        self.post_attention_norm = None
        if self.use_post_attention_norm:
            self.post_attention_norm = norm("post_attention_norm")
        self.feedforward_norm = norm("feedforward_norm")
        self.feedforward = GatedFeedForward(
            self.intermediate_dim, dtype=self.dtype_policy, name="feedforward"
        )
        self.feedforward.build(input_shape)
        self.post_feedforward_norm = None
        if self.use_post_ffw_norm:
            self.post_feedforward_norm = norm("post_feedforward_norm")
        self.attention_dropout = self._dropout("attention_dropout")
        self.feedforward_dropout = self._dropout("feedforward_dropout")
        self.built = True

    def _dropout(self, name):
        return SeededDropout(
            self.dropout_rate, dtype=self.dtype_policy, name=name
        )

    def draw_seeds(self, training):
        """Returns the seeds of one call's dropouts, `None` without any."""
        dropouts = (self.attention_dropout, self.feedforward_dropout)
        return tuple(dropout.draw(training) for dropout in dropouts)

    def call(
        self,
        inputs,
        attention_mask,
        tables,
        cache=None,
        cache_index=0,
        num_queries=None,
        seeds=(None, None),
    ):
        """Runs the block; arguments and results as `DecoderAttention`'s.

        `seeds` is what `draw_seeds` returned.
        """
        x = inputs if num_queries is None else inputs[:, -num_queries:]
        mixed, cache = direct_call(
            self.attention,
            direct_call(self.attention_norm, inputs),
            attention_mask,
            tables,
            cache=cache,
            cache_index=cache_index,
            num_queries=num_queries,
        )
        if self.post_attention_norm is not None:
            mixed = direct_call(self.post_attention_norm, mixed)
        x = x + direct_call(self.attention_dropout, mixed, seeds[0])
        hidden = direct_call(
            self.feedforward, direct_call(self.feedforward_norm, x)
        )
        hidden = direct_call(self.feedforward_dropout, hidden, seeds[1])
        if self.post_feedforward_norm is not None:
            hidden = direct_call(self.post_feedforward_norm, hidden)
        return x + hidden, cache

    def compute_output_spec(self, inputs, *args, num_queries=None, **kwargs):
        shape = list(inputs.shape)
        if num_queries is not None:
            shape[1] = num_queries
        return keras.KerasTensor(shape, dtype=self.compute_dtype), None

    def get_config(self):
        return {
            **super().get_config(),
            "attention": self.attention_config,
            "intermediate_dim": self.intermediate_dim,
            "use_post_attention_norm": self.use_post_attention_norm,
            "use_post_ffw_norm": self.use_post_ffw_norm,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "dropout": self.dropout_rate,
        }
