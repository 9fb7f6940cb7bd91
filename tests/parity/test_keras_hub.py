"""Logits and greedy text equal Keras-Hub's on a preset that it saved.

Single prompts only: Keras-Hub decodes batches of unequal prompts wrongly.
"""

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_paligemma import PaliGemmaCausalLM
from tests.checkpoints.writers import write_keras_hub_preset

NEW_TOKENS = 8


@pytest.fixture(scope="module", params=[1, 2])
def models(request, tmp_path_factory):
    """Keras-Hub's model and ours, of PaliGemma 1 and 2."""
    directory = str(tmp_path_factory.mktemp("keras_hub"))
    backbone = write_keras_hub_preset(
        directory, generation=request.param, seed=request.param
    )
    reference = keras_hub.models.PaliGemmaCausalLM(None, backbone)
    model = PaliGemmaCausalLM.from_preset(directory, preprocessor=None)
    return reference, model


def inputs(length, prompt_length, seed=0):
    rng = np.random.default_rng(seed)
    mask = (np.arange(length) < prompt_length).astype("int32")[None]
    return {
        "images": rng.uniform(-1, 1, (1, 12, 12, 3)).astype("float32"),
        "token_ids": rng.integers(4, 67, (1, length)).astype("int32") * mask,
        "padding_mask": mask,
        "response_mask": np.zeros_like(mask),
    }


def test_logits_equal(models):
    reference, model = models
    x = inputs(9, 9)
    x["response_mask"][:, 5:] = 1
    expected = ops.convert_to_numpy(reference(x))
    logits = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert len(np.unique(expected.argmax(-1))) > 3


def test_greedy_tokens_of_single_prompts_equal(models):
    reference, model = models
    decoded = []
    for seed in range(4):
        x = inputs(5 + NEW_TOKENS, 5, seed)
        theirs = reference.generate(dict(x), stop_token_ids=None)
        ours = model.generate(dict(x), stop_token_ids=None)
        np.testing.assert_array_equal(ours["token_ids"], theirs["token_ids"])
        decoded.append(ours["token_ids"][0, 5:])
    assert len(np.unique(decoded)) > 3
