"""Recomputing activations changes memory, not what is learnt."""

import keras
import numpy as np
import pytest

from tests.models import tiny_models


def trained_weights(prompts, **options):
    keras.utils.set_random_seed(0)
    task = tiny_models.tiny_task(tiny_models.tiny_backbone(**options))
    task.compile(keras.optimizers.SGD(0.01))
    history = task.fit(
        prompts,
        np.roll(prompts["token_ids"], -1, axis=1),
        sample_weight=prompts["padding_mask"].astype("float32"),
        batch_size=3,
        epochs=2,
        verbose=0,
    )
    weights = [keras.ops.convert_to_numpy(w) for w in task.trainable_weights]
    return history.history["loss"], weights


@pytest.fixture(scope="module")
def without_remat(prompts):
    return trained_weights(prompts, dropout=0.2)


def test_remat_learns_the_same_under_dropout(prompts, without_remat):
    losses, weights = trained_weights(prompts, dropout=0.2, remat=True)
    np.testing.assert_allclose(losses, without_remat[0], rtol=1e-5)
    for mine, theirs in zip(weights, without_remat[1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_dropout_is_on_in_training(prompts, without_remat):
    losses, _ = trained_weights(prompts)
    assert abs(losses[0] - without_remat[0][0]) > 1e-3
    assert without_remat[0][0] != without_remat[0][1]
