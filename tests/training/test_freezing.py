import numpy as np
import pytest

from keras_paligemma.training.freezing import freeze
from keras_paligemma.training.freezing import thaw
from keras_paligemma.training.optimizer import ComponentAdam
from tests.models import tiny_models
from tests.training import toy_models

TABLE = [("image_encoder/.*", None), (".*", 1e-2)]


def trainable_paths(model):
    return {variable.path for variable in model.trainable_variables}


def test_freeze_and_thaw_what_the_table_says():
    model = toy_models.toy_model()
    everything = trainable_paths(model)
    frozen = freeze(model, TABLE)
    assert frozen == ("image_encoder/kernel", "image_encoder/bias")
    assert trainable_paths(model) == everything - set(frozen)
    assert freeze(model, TABLE) == ()
    thaw(model, frozen)
    assert trainable_paths(model) == everything


def test_errors_leave_the_model_as_it_is():
    model = toy_models.toy_model()
    everything = trainable_paths(model)
    with pytest.raises(ValueError, match="'vision/.*' matches"):
        freeze(model, [*TABLE[:1], ("vision/.*", None), (".*", 1.0)])
    with pytest.raises(ValueError, match="leave out 2 of 6"):
        freeze(model, [*TABLE[:1], ("projector/.*", 1.0)])
    with pytest.raises(ValueError, match="nowhere/kernel"):
        thaw(model, ["decoder/kernel", "nowhere/kernel"])
    assert trainable_paths(model) == everything


def test_gradients_of_frozen_variables_are_not_computed():
    """A trained model is the same with and without `freeze`."""
    x, y = toy_models.toy_data()
    values = []
    for frozen_first in (False, True):
        model = toy_models.toy_model()
        if frozen_first:
            freeze(model, TABLE)
        optimizer = ComponentAdam(TABLE, global_clipnorm=0.1)
        model.compile(optimizer=optimizer, loss="mse")
        for _ in range(3):
            model.train_on_batch(x, y)
        values.append(toy_models.values_of(model))
    for path, value in values[0].items():
        np.testing.assert_allclose(
            value, values[1][path], rtol=1e-5, atol=1e-6, err_msg=path
        )


def test_what_lora_freezes_stays_frozen():
    backbone = tiny_models.tiny_backbone()
    backbone.enable_lora(2)
    before = trainable_paths(backbone)
    table = [
        ("image_encoder/.*", None),
        ("projector/.*", 1e-3),
        (".*", 1e-3),
    ]
    frozen = freeze(backbone, table)
    after = trainable_paths(backbone)
    assert frozen and after == before - set(frozen)
    assert after and all("decoder" in path for path in after)
    thaw(backbone, frozen)
    assert trainable_paths(backbone) == before
    # But a rate for a component that nothing of is trained is an error.
    with pytest.raises(ValueError, match="as LoRA does"):
        ComponentAdam(table).build(backbone.trainable_variables)
