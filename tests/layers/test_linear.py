"""Every form of the product equals the plain one."""

import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers.linear import linear
from keras_paligemma.layers.linear import plain_product
from keras_paligemma.layers.linear import soft_capped
from keras_paligemma.layers.linear import vocabulary_logits

ROWS = [1, 2, 4, 17]


def random_inputs(rows, dtype, shape=(24, 16)):
    generator = np.random.default_rng(rows)
    inputs = generator.normal(size=(rows, shape[1])).astype("float32")
    kernel = generator.normal(size=shape).astype("float32")
    return (
        ops.convert_to_tensor(inputs, dtype),
        ops.convert_to_tensor(kernel, dtype),
    )


def exact(inputs, kernel):
    inputs, kernel = (
        ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")
        for x in (inputs, kernel)
    )
    return inputs @ kernel.T


def as_float(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def tolerance(dtype):
    # bfloat16 has eight significant bits; sums here stay below 16.
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"atol": 0.1}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("function", [linear, vocabulary_logits, plain_product])
def test_forms_are_equal(function, rows, dtype):
    inputs, kernel = random_inputs(rows, dtype)
    outputs = function(inputs, kernel)
    expected_dtype = "float32" if function is vocabulary_logits else dtype
    assert expected_dtype in str(outputs.dtype)
    assert tuple(outputs.shape) == (rows, 24)
    np.testing.assert_allclose(
        as_float(outputs), exact(inputs, kernel), **tolerance(dtype)
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 4), (2, 9)])
@pytest.mark.parametrize("function", [linear, vocabulary_logits])
def test_leading_axes_are_kept(function, shape):
    inputs, kernel = random_inputs(shape[0] * shape[1], "float32")
    outputs = function(ops.reshape(inputs, (*shape, 16)), kernel)
    assert tuple(outputs.shape) == (*shape, 24)
    np.testing.assert_allclose(
        as_float(outputs).reshape(-1, 24),
        exact(inputs, kernel),
        rtol=1e-5,
        atol=1e-5,
    )


def test_soft_cap_of_logits():
    inputs, kernel = random_inputs(4, "float32")
    capped = as_float(vocabulary_logits(inputs, kernel, soft_cap=2.0))
    np.testing.assert_allclose(
        capped, 2.0 * np.tanh(exact(inputs, kernel) / 2.0), atol=1e-5
    )
    assert np.abs(capped).max() <= 2.0
    logits = ops.convert_to_tensor([[-5.0, 0.0, 3.0]])
    assert soft_capped(logits, None) is logits
