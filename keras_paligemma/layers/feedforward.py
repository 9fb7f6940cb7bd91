"""The feed-forward halves of the decoder's and image encoder's blocks."""

import keras
from keras import ops

from keras_paligemma.layers.dense import TransposedDense
from keras_paligemma.layers.direct import direct_call


@keras.saving.register_keras_serializable(package="keras_paligemma")
class GatedFeedForward(keras.layers.Layer):
    """`down(gelu(gate(x)) * up(x))`, Gemma's (Shazeer, arXiv 2002.05202).

    Args:
        intermediate_dim: int. Width between the products.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(self, intermediate_dim, **kwargs):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim

    def build(self, input_shape):
        dim, wide = input_shape[-1], self.intermediate_dim
        shapes = {"gate": (dim, wide), "up": (dim, wide), "down": (wide, dim)}
        for name, (input_dim, units) in shapes.items():
            layer = TransposedDense(
                units, dtype=self.dtype_policy, name=f"{name}_dense"
            )
            layer.build((None, None, input_dim))
            setattr(self, f"{name}_dense", layer)
        self.built = True

    def call(self, inputs):
        gate = ops.gelu(direct_call(self.gate_dense, inputs), approximate=True)
        up = direct_call(self.up_dense, inputs)
        return direct_call(self.down_dense, gate * up)

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
        }


@keras.saving.register_keras_serializable(package="keras_paligemma")
class FeedForward(keras.layers.Layer):
    """`output(gelu(input(x)))` with biases, SigLIP's.

    Args:
        intermediate_dim: int. Width between the products.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(self, intermediate_dim, **kwargs):
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim

    def build(self, input_shape):
        dim, wide = input_shape[-1], self.intermediate_dim
        for name, input_dim, units in (
            ("input", dim, wide),
            ("output", wide, dim),
        ):
            layer = TransposedDense(
                units,
                use_bias=True,
                dtype=self.dtype_policy,
                name=f"{name}_dense",
            )
            layer.build((None, None, input_dim))
            setattr(self, f"{name}_dense", layer)
        self.built = True

    def call(self, inputs):
        hidden = ops.gelu(
            direct_call(self.input_dense, inputs), approximate=True
        )
        return direct_call(self.output_dense, hidden)

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
        }
