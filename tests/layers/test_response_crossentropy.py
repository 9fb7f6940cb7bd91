"""The loss against NumPy, for each reduction."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers import ResponseCrossentropy
from keras_paligemma.layers.response_crossentropy import reduce_token_losses
from keras_paligemma.layers.response_crossentropy import token_losses

VOCABULARY = 11


def random_batch(batch=3, length=6):
    generator = np.random.default_rng(0)
    token_ids = generator.integers(0, VOCABULARY, (batch, length))
    logits = generator.normal(0, 3, (batch, length, VOCABULARY))
    weights = np.zeros((batch, length))
    for row in range(batch):
        weights[row, row + 1 : row + 2 + row] = 1
    return token_ids, logits.astype("float32"), weights.astype("float32")


def numpy_losses(token_ids, logits, smoothing=0.0):
    """Cross-entropy with the smoothed distribution written out."""
    logits = logits.astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = np.full(logits.shape, smoothing / (VOCABULARY - 1))
    np.put_along_axis(target, token_ids[..., None], 1 - smoothing, axis=-1)
    return -(target * log_probs).sum(-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_token_losses_follow_the_formula(smoothing):
    token_ids, logits, _ = random_batch()
    np.testing.assert_allclose(
        ops.convert_to_numpy(token_losses(token_ids, logits, smoothing)),
        numpy_losses(token_ids, logits, smoothing),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_reductions_follow_the_formula(smoothing):
    token_ids, logits, weights = random_batch()
    losses = numpy_losses(token_ids, logits, smoothing) * weights
    expected = {
        "example_mean": (losses.sum(1) / weights.sum(1)).mean(),
        "token_mean": losses.sum() / weights.sum(),
        "none": losses,
    }
    for reduction, value in expected.items():
        loss = ResponseCrossentropy(smoothing, reduction)
        np.testing.assert_allclose(
            ops.convert_to_numpy(loss(token_ids, logits, weights)),
            value,
            rtol=1e-5,
            atol=1e-6,
        )


def test_reduction_as_documented():
    losses = np.array([[4.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    weights = np.array([[1, 0, 0], [1, 1, 1]])
    assert float(reduce_token_losses(losses, weights)) == 2.5
    assert float(reduce_token_losses(losses, weights, "token_mean")) == 1.75


@pytest.mark.parametrize("reduction", ["example_mean", "token_mean"])
def test_padding_changes_nothing(reduction):
    token_ids, logits, weights = random_batch()
    loss = ResponseCrossentropy(reduction=reduction)
    expected = float(loss(token_ids, logits, weights))
    padding = ((0, 0), (0, 9))
    padded = loss(
        np.pad(token_ids, padding),
        np.pad(logits, (*padding, (0, 0)), constant_values=7.0),
        np.pad(weights, padding),
    )
    assert float(padded) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reduction", ["example_mean", "token_mean"])
def test_rows_without_a_response_give_zero(reduction):
    token_ids, logits, weights = random_batch()
    loss = ResponseCrossentropy(reduction=reduction)
    assert float(loss(token_ids, logits, np.zeros_like(weights))) == 0.0
    kept = weights.copy()
    kept[0] = 0
    share = 2 / 3 if reduction == "example_mean" else 1.0
    expected = float(loss(token_ids[1:], logits[1:], weights[1:])) * share
    assert float(loss(token_ids, logits, kept)) == pytest.approx(expected)


def test_without_weights_every_token_counts():
    token_ids, logits, _ = random_batch()
    expected = numpy_losses(token_ids, logits).mean()
    loss = ResponseCrossentropy()
    assert float(loss(token_ids, logits)) == pytest.approx(expected, rel=1e-5)


def test_bfloat16_logits_are_summed_in_float32():
    token_ids, logits, weights = random_batch()
    logits = ops.cast(ops.convert_to_tensor(logits), "bfloat16")
    rounded = ops.convert_to_numpy(ops.cast(logits, "float32"))
    losses = token_losses(token_ids, logits)
    assert "float32" in str(losses.dtype)
    np.testing.assert_allclose(
        ops.convert_to_numpy(losses),
        numpy_losses(token_ids, rounded),
        rtol=1e-5,
    )


def test_gradients_are_finite_in_bfloat16():
    token_ids, logits, weights = random_batch()
    weights[0] = 0
    logits = logits * 40  # Some probabilities underflow.
    layer = keras.layers.Dense(VOCABULARY, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((None, VOCABULARY)), layer])
    model.compile(
        keras.optimizers.SGD(1.0), ResponseCrossentropy(0.1), jit_compile=False
    )
    before = [w.copy() for w in model.get_weights()]
    model.fit(logits, token_ids, sample_weight=weights, verbose=0)
    after = model.get_weights()
    assert all(np.isfinite(w).all() for w in after)
    assert any((a != b).any() for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    "options, text",
    [
        ({"reduction": "mean"}, "reduction='mean'"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1"),
    ],
)
def test_bad_options_are_named(options, text):
    with pytest.raises(ValueError, match=text):
        ResponseCrossentropy(**options)


def test_config_round_trip():
    loss = ResponseCrossentropy(0.3, "token_mean", name="loss")
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()
    batch = random_batch()
    assert float(copy(*batch)) == float(loss(*batch))
