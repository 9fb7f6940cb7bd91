"""One block of the SigLIP image encoder (Zhai et al., arXiv 2303.15343)."""

import keras
from keras import ops

from keras_paligemma.layers.attention import attend
from keras_paligemma.layers.dense import TransposedDense
from keras_paligemma.layers.direct import direct_call
from keras_paligemma.layers.feedforward import FeedForward
from keras_paligemma.layers.initialization import initializer_or


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ImageAttention(keras.layers.Layer):
    """Full self-attention among the patches of one image.

    Args:
        num_heads: int. Number of heads; divides the width.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(self, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, input_shape):
        dim = input_shape[-1]
        if dim % self.num_heads:
            raise ValueError(
                "The image encoder's width must be a multiple of its number "
                "of heads; change `vit_hidden_dim` or `vit_num_heads`. "
                f"Received: vit_hidden_dim={dim}, "
                f"vit_num_heads={self.num_heads}"
            )
        for name in ("query", "key", "value", "output"):
            layer = TransposedDense(
                dim,
                use_bias=True,
                dtype=self.dtype_policy,
                name=f"{name}_dense",
            )
            layer.build(input_shape)
            setattr(self, f"{name}_dense", layer)
        self.built = True

    def call(self, inputs):
        head_dim = inputs.shape[-1] // self.num_heads

        def heads(x):
            shape = (-1, ops.shape(x)[1], self.num_heads, head_dim)
            return ops.reshape(x, shape)

        mixed = attend(
            heads(direct_call(self.query_dense, inputs)),
            heads(direct_call(self.key_dense, inputs)),
            heads(direct_call(self.value_dense, inputs)),
            mask=None,
            scale=head_dim**-0.5,
        )
        return direct_call(self.output_dense, mixed)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ImageEncoderBlock(keras.layers.Layer):
    """Attention and feed-forward, each after a layer norm.

    Args:
        num_heads: int. Number of attention heads.
        intermediate_dim: int. Width of the feed-forward.
        layer_norm_epsilon: float. Of both norms.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(
        self, num_heads, intermediate_dim, layer_norm_epsilon=1e-6, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.layer_norm_epsilon = layer_norm_epsilon

    def build(self, input_shape):
        self.attention_norm = layer_norm(
            "attention_norm", self.layer_norm_epsilon, self.dtype_policy
        )
        self.attention = ImageAttention(
            self.num_heads, dtype=self.dtype_policy, name="attention"
        )
        self.feedforward_norm = layer_norm(
            "feedforward_norm", self.layer_norm_epsilon, self.dtype_policy
        )
        self.feedforward = FeedForward(
            self.intermediate_dim, dtype=self.dtype_policy, name="feedforward"
        )
        for layer in (
            self.attention_norm,
            self.attention,
            self.feedforward_norm,
            self.feedforward,
        ):
            layer.build(input_shape)
        self.built = True

    def call(self, inputs):
        x = inputs + direct_call(
            self.attention, direct_call(self.attention_norm, inputs)
        )
        return x + direct_call(
            self.feedforward, direct_call(self.feedforward_norm, x)
        )

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }


def layer_norm(name, epsilon, dtype):
    """Returns Keras' layer norm with the initial values wanted now."""
    return keras.layers.LayerNormalization(
        epsilon=epsilon,
        beta_initializer=initializer_or("zeros"),
        gamma_initializer=initializer_or("ones"),
        dtype=dtype,
        name=name,
    )
