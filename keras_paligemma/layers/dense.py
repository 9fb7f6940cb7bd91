"""The fully connected layer of image encoder, projector and decoder."""

import keras

from keras_paligemma.layers.initialization import initializer_or
from keras_paligemma.layers.linear import linear


@keras.saving.register_keras_serializable(package="keras_paligemma")
class TransposedDense(keras.layers.EinsumDense):
    """`inputs @ kernel.T + bias`, the kernel stored `[units, input_dim]`.

    It is Keras' `EinsumDense` in every respect that a user meets (`kernel`,
    `bias`, `enable_lora`, `quantize`), with the product written by
    `keras_paligemma.layers.linear`.

    Args:
        units: int. Size of the last axis of the output.
        use_bias: bool. Whether to add a bias.
        kernel_initializer: string or `keras.initializers.Initializer`.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Example:
    ```python
    layer = TransposedDense(8)
    layer(np.ones((2, 3, 4))).shape  # (2, 3, 8)
    layer.kernel.shape  # (8, 4)
    ```
    """

    def __init__(
        self,
        units,
        use_bias=False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        config = {
            "equation": "abc,dc->abd",
            "output_shape": (None, units),
            "bias_axes": "d" if use_bias else None,
        }
        # `from_config` hands back what `EinsumDense.get_config` wrote.
        config.update({k: kwargs.pop(k) for k in config if k in kwargs})
        super().__init__(
            **config,
            kernel_initializer=initializer_or(kernel_initializer),
            **kwargs,
        )
        self.units = units
        self.use_bias = use_bias

    def call(self, inputs, training=None):
        outputs = linear(inputs, self.kernel)
        if self.bias is not None:
            outputs = keras.ops.add(outputs, self.bias)
        return outputs

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras leaves subclasses out unless told that they are meant.
        super().quantize(mode, type_check=False, config=config)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
        }
