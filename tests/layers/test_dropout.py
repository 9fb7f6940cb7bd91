"""Dropout by seeds drawn outside."""

import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers.dropout import SeededDropout


def dropped(layer, inputs, seed):
    return ops.convert_to_numpy(layer(ops.convert_to_tensor(inputs), seed))


def test_nothing_is_dropped_outside_training_or_at_rate_zero():
    inputs = np.ones((3, 4), "float32")
    assert SeededDropout(0.0).draw(training=True) is None
    assert SeededDropout(0.5).draw(training=False) is None
    assert SeededDropout(0.5).draw(training=None) is None
    layer = SeededDropout(0.5)
    np.testing.assert_array_equal(dropped(layer, inputs, None), inputs)
    assert SeededDropout(0.0).variables == []


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_dropped_and_the_mean_kept(rate):
    layer = SeededDropout(rate, seed=1)
    inputs = np.full((100, 200), 2.0, "float32")
    outputs = dropped(layer, inputs, layer.draw(training=True))
    kept = outputs != 0
    # Five standard errors of 20,000 draws.
    error = 5 * (rate * (1 - rate) / outputs.size) ** 0.5
    assert abs((1 - kept.mean()) - rate) < error
    np.testing.assert_allclose(outputs[kept], 2.0 / (1 - rate), rtol=1e-6)
    assert abs(outputs.mean() - 2.0) < 2.0 * error / (1 - rate)


def test_one_seed_gives_one_pattern_and_the_next_another():
    layer = SeededDropout(0.5, seed=1)
    inputs = np.ones((8, 16), "float32")
    first, second = (layer.draw(training=True) for _ in range(2))
    np.testing.assert_array_equal(
        dropped(layer, inputs, first), dropped(layer, inputs, first)
    )
    different = dropped(layer, inputs, first) != dropped(layer, inputs, second)
    assert different.any()


def test_the_dtype_stays():
    layer = SeededDropout(0.5, seed=1, dtype="bfloat16")
    inputs = ops.ones((4, 4), dtype="bfloat16")
    assert "bfloat16" in str(layer(inputs, layer.draw(True)).dtype)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_bad_rate_is_named(rate):
    with pytest.raises(ValueError, match=f"dropout={rate}"):
        SeededDropout(rate)


def test_config_round_trip():
    copy = SeededDropout.from_config(SeededDropout(0.3, seed=4).get_config())
    assert (copy.rate, copy.seed) == (0.3, 4)
