"""The fully connected layer of image encoder, projector and decoder."""

import keras
from keras import ops

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
            outputs = ops.add(outputs, self.bias)
        return outputs

    def quantized_call(self, inputs, *args, **kwargs):
        if not self.lora_enabled:
            return self._quantized_product(inputs, *args, **kwargs)
        # Keras' own addition of LoRA is for kernels stored `[in, out]`.
        self.lora_enabled = False
        try:
            outputs = self._quantized_product(inputs, *args, **kwargs)
        finally:
            self.lora_enabled = True
        # Two thin products, never the sum of the kernel and theirs.
        added = ops.matmul(inputs, ops.transpose(self.lora_kernel_b))
        added = ops.matmul(added, ops.transpose(self.lora_kernel_a))
        added = added * (self.lora_alpha / self.lora_rank)
        return outputs + ops.cast(added, outputs.dtype)

    def _quantized_product(self, inputs, *args, **kwargs):
        if self.quantization_mode != "int8" or self.inputs_quantizer:
            return super().quantized_call(inputs, *args, **kwargs)
        # Keras' gradient of float inputs and int8 kernels fails on PyTorch.
        outputs = _product_with_int8(
            inputs,
            ops.convert_to_tensor(self.kernel),
            ops.reshape(self.kernel_scale, (-1, 1)),
        )
        return outputs if self.bias is None else ops.add(outputs, self.bias)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras leaves subclasses out unless told that they are meant.
        super().quantize(mode, type_check=False, config=config)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
        }


@ops.custom_gradient
def _product_with_int8(inputs, kernel, scale):
    """`linear` with `kernel / scale`, which no backward pass keeps.

    Args:
        inputs: float tensor `[..., in]`.
        kernel: int8 tensor `[out, in]`, not trained.
        scale: float tensor `[out, 1]`, not trained.
    """

    def as_floats():
        return ops.cast(kernel, inputs.dtype) / ops.cast(scale, inputs.dtype)

    def gradient(*arguments, upstream=None):
        # Keras hands the upstream gradient over by name on PyTorch.
        if upstream is None:
            (upstream,) = arguments
        return ops.matmul(upstream, as_floats()), None, None

    return linear(inputs, as_floats()), gradient
