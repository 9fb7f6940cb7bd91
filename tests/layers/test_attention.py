"""Attention: every form against a NumPy loop."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers import attention
from keras_paligemma.layers.attention import attend
from keras_paligemma.layers.attention import plain_attend

SCALE = 0.3


def attended_by_loop(query, key, value, mask, scale, soft_cap=None):
    """One query head at a time, each with its repeated key head."""
    batch, queries, heads, head_dim = query.shape
    group = heads // key.shape[2]
    key = np.repeat(key, group, axis=2).astype("float64")
    value = np.repeat(value, group, axis=2).astype("float64")
    result = np.zeros((batch, queries, heads, head_dim))
    for b in range(batch):
        for h in range(heads):
            for q in range(queries):
                scores = key[b, :, h] @ query[b, q, h].astype("float64") * scale
                if soft_cap is not None:
                    scores = soft_cap * np.tanh(scores / soft_cap)
                if mask is not None:
                    scores = np.where(mask[b, q], scores, -np.inf)
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                result[b, q, h] = weights @ value[b, :, h]
    return result.reshape(batch, queries, -1)


def random_inputs(key_heads=2, queries=3, keys=5):
    generator = np.random.default_rng(0)
    query = generator.normal(0, 2, (2, queries, 4, 8))
    key = generator.normal(0, 2, (2, keys, key_heads, 8))
    value = generator.normal(0, 2, (2, keys, key_heads, 8))
    mask = generator.random((2, queries, keys)) < 0.5
    mask[..., 0] = True
    return *(x.astype("float32") for x in (query, key, value)), mask


def run(function, *args, dtype="float32", **kwargs):
    *tensors, mask, scale = args
    tensors = [ops.convert_to_tensor(x, dtype) for x in tensors]
    if mask is not None:
        mask = ops.convert_to_tensor(mask)
    result = function(*tensors, mask, scale, **kwargs)
    assert dtype in str(result.dtype)
    return ops.convert_to_numpy(ops.cast(result, "float32"))


@pytest.mark.parametrize("function", [attend, plain_attend])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_equals_the_loop(function, key_heads, masked):
    query, key, value, mask = random_inputs(key_heads)
    mask = mask if masked else None
    np.testing.assert_allclose(
        run(function, query, key, value, mask, SCALE),
        attended_by_loop(query, key, value, mask, SCALE),
        atol=1e-5,
    )


@pytest.mark.parametrize("function", [attend, plain_attend])
def test_soft_cap_bends_the_scores(function):
    query, key, value, mask = random_inputs()
    capped = run(function, query, key, value, mask, SCALE, soft_cap=1.0)
    np.testing.assert_allclose(
        capped,
        attended_by_loop(query, key, value, mask, SCALE, soft_cap=1.0),
        atol=1e-5,
    )
    free = attended_by_loop(query, key, value, mask, SCALE)
    assert np.abs(capped - free).max() > 0.1


@pytest.mark.parametrize("function", [attend, plain_attend])
def test_hidden_keys_weigh_nothing(function):
    query, key, value, mask = random_inputs()
    expected = run(function, query, key, value, mask, SCALE)
    hidden = ~mask.any(axis=1)[:, :, None, None]
    mask[:, :, -1] = False
    hidden[:, -1] = True
    before = run(function, query, key, value, mask, SCALE)
    key, value = np.where(hidden, 1e4, key), np.where(hidden, -1e4, value)
    after = run(function, query, key, value, mask, SCALE)
    np.testing.assert_array_equal(before, after)
    assert np.abs(expected - before).max() > 0.01


@pytest.mark.parametrize("function", [attend, plain_attend])
def test_a_row_that_sees_nothing_stays_finite(function):
    # A padded image's tokens, or padding before a prompt.
    query, key, value, mask = random_inputs()
    mask[1] = False
    result = run(function, query, key, value, mask, SCALE)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(
        result[:1],
        attended_by_loop(query[:1], key[:1], value[:1], mask[:1], SCALE),
        atol=1e-5,
    )


def test_bfloat16_stays_close():
    query, key, value, mask = random_inputs()
    expected = attended_by_loop(query, key, value, mask, SCALE)
    for function in (attend, plain_attend):
        result = run(function, query, key, value, mask, SCALE, dtype="bfloat16")
        assert np.abs(result - expected).mean() < 0.02 * np.abs(expected).max()


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the form is PyTorch's own"
)
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_torch_form_equals_the_plain_one(queries, key_heads, monkeypatch):
    query, key, value, mask = random_inputs(key_heads, queries)
    called = []
    form = attention._torch_attend
    monkeypatch.setattr(
        attention,
        "_torch_attend",
        lambda *args: called.append(1) or form(*args),
    )
    np.testing.assert_allclose(
        run(attend, query, key, value, mask, SCALE),
        run(plain_attend, query, key, value, mask, SCALE),
        atol=1e-5,
    )
    assert called


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the form is PyTorch's own"
)
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_torch_products_equal_the_plain_form(key_heads, masked):
    """In values and in gradients."""
    import torch

    *arrays, mask = random_inputs(key_heads)
    mask = torch.tensor(mask) if masked else None
    results = []
    for function in (attention._torch_products, plain_attend):
        tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
        mixed = function(*tensors, mask, SCALE)
        mixed.square().sum().backward()
        results.append([mixed.detach(), *(x.grad for x in tensors)])
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("keys", [5, attention.FEW_KEYS + 1])
def test_bfloat16_stays_close_for_few_keys_and_for_many(keys):
    """On PyTorch the two lengths take different forms on a CPU."""
    query, key, value, mask = random_inputs(keys=keys)
    expected = attended_by_loop(query, key, value, mask, SCALE)
    result = run(attend, query, key, value, mask, SCALE, dtype="bfloat16")
    assert np.abs(result - expected).mean() < 0.02 * np.abs(expected).max()
