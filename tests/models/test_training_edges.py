"""Batches without a token in the loss, and responses that are cut."""

import warnings

import keras
import numpy as np
import pytest

from tests import tiny
from tests import tiny_preset
from tests.models import tiny_models

LONG = "A cat lies on a couch and looks into the camera. " * 3


@pytest.fixture(scope="module")
def model():
    task = tiny_preset.tiny_model()
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return task


def raw(responses):
    images = [tiny.photographs()["cat"]] * len(responses)
    return {
        "images": images,
        "prompts": ["caption en"] * len(responses),
        "responses": responses,
    }


def test_raw_batch_without_a_token_in_the_loss_is_named(model):
    model.preprocessor.add_end_token = False
    try:
        # Beside an answer an empty one is fine.
        model.fit(raw(["A cat", ""]), batch_size=2, verbose=0)
        with pytest.raises(ValueError, match="no token in the loss.*caption"):
            model.fit(
                raw(["A cat", ""]), batch_size=1, shuffle=False, verbose=0
            )
        with pytest.raises(ValueError, match="no token in the loss"):
            model.fit(
                raw(["", "A cat"]),
                validation_split=0.5,
                batch_size=1,
                verbose=0,
            )
        logits = model.predict(raw([""]), verbose=0)
        assert np.isfinite(logits).all()
    finally:
        model.preprocessor.add_end_token = True
    # EOS is a token in the loss.
    model.fit(raw([""]), verbose=0)


def test_arrays_without_a_token_in_the_loss():
    task = tiny_models.tiny_task(
        tiny_models.tiny_backbone(), optimizer=keras.optimizers.SGD(1.0)
    )
    before = [np.array(keras.ops.convert_to_numpy(w)) for w in task.weights]
    inputs = tiny_models.prompt_inputs()
    nothing = np.zeros(inputs["token_ids"].shape, "float32")
    with pytest.raises(ValueError, match="only zeros"):
        task.fit(inputs, inputs["token_ids"], sample_weight=nothing)
    logs = task.train_on_batch(
        inputs, inputs["token_ids"], nothing, return_dict=True
    )
    assert float(logs["loss"]) == 0.0
    for weight, value in zip(task.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)


def test_cut_responses_are_counted_at_the_end_and_keep_their_end(model):
    examples = raw([LONG, "A cat"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(examples, batch_size=2, epochs=3, verbose=0)
        messages = [str(w.message) for w in caught]
        assert sum("was cut" in m for m in messages) == 1
        (last,) = [m for m in messages if "`fit` read" in m]
        # Keras may read the first batch once more, for its shapes.
        assert any(f"0 prompts and {n} responses" in last for n in (3, 4))
        assert "sequence_length=32" in last
        _, targets, weights = model.preprocessor(examples)
    end = model.preprocessor.tokenizer.end_token_id
    for row, kept in zip(targets, weights, strict=True):
        assert row[kept > 0][-1] == end
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(raw(["A cat"]), verbose=0)
