"""Root mean square normalization as Gemma has it."""

import keras
from keras import ops

from keras_paligemma.layers.initialization import initializer_or


def rms_normalize(inputs, scale, epsilon):
    """Returns `inputs / rms(inputs) * (1 + scale)`, computed in float32.

    Args:
        inputs: float tensor `[..., dim]`.
        scale: float tensor `[dim]`. Stored so that zero means "unchanged".
        epsilon: float. Added to the mean square.
    """
    x = ops.cast(inputs, "float32")
    mean_square = ops.mean(ops.square(x), axis=-1, keepdims=True)
    x = x * ops.rsqrt(mean_square + epsilon)
    return ops.cast(x * (1.0 + ops.cast(scale, "float32")), inputs.dtype)


@keras.saving.register_keras_serializable(package="keras_paligemma")
class RMSNormalization(keras.layers.Layer):
    """Layer of `rms_normalize` (Zhang and Sennrich, arXiv 1910.07467).

    Args:
        epsilon: float. Added to the mean square.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale",
            shape=(input_shape[-1],),
            initializer=initializer_or("zeros"),
            # It must stay float32 where it is stored so. The layer's own
            # `autocast` says nothing when the layer is called on its own, as
            # decoding does.
            autocast=False,
        )
        self.built = True

    def call(self, inputs):
        return rms_normalize(inputs, self.scale, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
