"""The dense layer: its product, LoRA, int8 and its config."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers import TransposedDense

generator = np.random.default_rng(0)


def random_layer(use_bias=True, units=24, input_dim=16):
    layer = TransposedDense(units, use_bias=use_bias)
    layer.build((None, None, input_dim))
    for variable in layer.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    return layer


def as_float(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def values(variable):
    return ops.convert_to_numpy(variable)


@pytest.mark.parametrize("use_bias", [True, False])
def test_it_multiplies_with_the_transposed_kernel(use_bias):
    layer = random_layer(use_bias)
    assert tuple(layer.kernel.shape) == (24, 16)
    inputs = generator.normal(size=(2, 3, 16)).astype("float32")
    expected = inputs @ values(layer.kernel).T
    if use_bias:
        expected = expected + values(layer.bias)
    else:
        assert layer.bias is None
    np.testing.assert_allclose(as_float(layer(inputs)), expected, atol=1e-4)


def test_lora_adds_a_trainable_product():
    layer = random_layer()
    inputs = generator.normal(size=(2, 3, 16)).astype("float32")
    before = as_float(layer(inputs))
    layer.enable_lora(2)
    np.testing.assert_allclose(as_float(layer(inputs)), before, atol=1e-5)
    names = {v.name for v in layer.trainable_variables}
    assert names == {"lora_kernel_a", "lora_kernel_b", "bias"}
    a, b = layer.lora_kernel_a, layer.lora_kernel_b
    for variable in (a, b):
        variable.assign(generator.normal(size=variable.shape))
    added = inputs @ (values(a) @ values(b)).T
    np.testing.assert_allclose(
        as_float(layer(inputs)), before + added, atol=1e-4
    )


@pytest.mark.parametrize("use_bias", [True, False])
def test_int8_is_close_and_really_int8(use_bias):
    layer = random_layer(use_bias)
    inputs = generator.normal(size=(2, 3, 16)).astype("float32")
    before = as_float(layer(inputs))
    layer.quantize("int8")
    assert "int8" in {str(v.dtype) for v in layer.variables}
    after = as_float(layer(inputs))
    error = np.abs(after - before).max() / np.abs(before).max()
    assert 0 < error < 0.02


def test_bfloat16_keeps_its_dtype():
    layer = TransposedDense(8, use_bias=True, dtype="bfloat16")
    outputs = layer(ops.ones((1, 2, 4), dtype="bfloat16"))
    assert "bfloat16" in str(outputs.dtype)
    assert "bfloat16" in str(layer.kernel.dtype)


def test_config_round_trip():
    layer = random_layer()
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == layer.get_config()
    for mine, theirs in zip(copy.variables, layer.variables, strict=True):
        mine.assign(theirs)
    inputs = generator.normal(size=(1, 2, 16)).astype("float32")
    np.testing.assert_array_equal(
        as_float(copy(inputs)), as_float(layer(inputs))
    )
