"""The token embedding: look-up, logits, int8 and its config."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers import TokenEmbedding

# Keras' own, on PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:.*The use of `x.T`:UserWarning")

TOKENS = np.array([[0, 3], [9, 3]])
generator = np.random.default_rng(0)


def random_layer(**kwargs):
    layer = TokenEmbedding(10, 16, **kwargs)
    layer.build((None, None))
    table = generator.normal(size=(10, 16)).astype("float32")
    layer.embeddings.assign(table)
    return layer, table


def as_float(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def test_forwards_it_looks_tokens_up_unscaled():
    layer, table = random_layer()
    np.testing.assert_array_equal(as_float(layer(TOKENS)), table[TOKENS])


@pytest.mark.parametrize("soft_cap", [None, 3.0])
def test_in_reverse_it_scores_the_vocabulary(soft_cap):
    layer, table = random_layer(logit_soft_cap=soft_cap)
    hidden = generator.normal(size=(2, 3, 16)).astype("float32")
    expected = hidden @ table.T
    if soft_cap is not None:
        expected = soft_cap * np.tanh(expected / soft_cap)
    logits = layer(hidden, reverse=True)
    np.testing.assert_allclose(as_float(logits), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_logits_are_float32_whatever_the_policy(dtype):
    layer, table = random_layer(dtype=dtype)
    assert "bfloat16" in str(layer(TOKENS).dtype)
    hidden = generator.normal(size=(1, 3, 16)).astype("float32")
    logits = layer(ops.convert_to_tensor(hidden, "bfloat16"), reverse=True)
    assert "float32" in str(logits.dtype)
    np.testing.assert_allclose(as_float(logits), hidden @ table.T, atol=0.2)


@pytest.mark.parametrize("soft_cap", [None, 3.0])
def test_int8_is_close_and_really_int8(soft_cap):
    layer, table = random_layer(logit_soft_cap=soft_cap)
    hidden = generator.normal(size=(1, 3, 16)).astype("float32")
    before = as_float(layer(hidden, reverse=True))
    layer.quantize("int8")
    assert "int8" in {str(v.dtype) for v in layer.variables}
    np.testing.assert_allclose(
        as_float(layer(TOKENS)), table[TOKENS], atol=0.03
    )
    after = as_float(layer(hidden, reverse=True))
    assert 0 < np.abs(after - before).max() < 0.05 * np.abs(before).max()


def test_int8_logits_are_float32_too():
    layer, _ = random_layer(dtype="bfloat16")
    layer.quantize("int8")
    hidden = ops.ones((1, 3, 16), dtype="bfloat16")
    assert "float32" in str(layer(hidden, reverse=True).dtype)


def test_symbolic_shapes_are_those_of_the_tensors():
    layer, _ = random_layer(dtype="bfloat16")
    tokens = keras.KerasTensor((None, 4), dtype="int32")
    hidden = keras.KerasTensor((None, 4, 16), dtype="bfloat16")
    looked_up = layer.compute_output_spec(tokens)
    logits = layer.compute_output_spec(hidden, reverse=True)
    assert (looked_up.shape, looked_up.dtype) == ((None, 4, 16), "bfloat16")
    assert (logits.shape, logits.dtype) == ((None, 4, 10), "float32")


def test_config_round_trip():
    layer, table = random_layer(logit_soft_cap=3.0)
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == layer.get_config()
    copy.embeddings.assign(table)
    hidden = np.ones((1, 1, 16), "float32")
    np.testing.assert_array_equal(
        as_float(copy(hidden, reverse=True)),
        as_float(layer(hidden, reverse=True)),
    )
