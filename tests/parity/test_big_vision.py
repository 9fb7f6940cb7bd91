"""Logits equal big_vision's on the same weights.

The files in `data/` were made once by running big_vision itself (commit
0127fb6, `models/proj/paligemma`) on tiny random weights: the checkpoints in
its own names, and the text logits for one image and for two. The inputs are
drawn here again from the same seed. big_vision's training logits are never
soft capped; the cap that decoding applies is applied to its figures here.
"""

import pathlib

import numpy as np
import pytest

from keras_paligemma import PaliGemmaCausalLM

DATA = pathlib.Path(__file__).parent / "data"
RESPONSE_MASK = np.array(
    [[0, 0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 1, 1]]
)


@pytest.fixture(scope="module", params=[1, 2])
def generation(request):
    return request.param


@pytest.fixture(scope="module")
def model(generation):
    return PaliGemmaCausalLM.from_preset(
        str(DATA / f"big_vision_{generation}.npz"), preprocessor=None
    )


def inputs_for(num_images):
    # The reference runs drew one set of inputs after each checkpoint.
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, 3, 12, 12, 3)).astype("float32")
    token_ids = rng.integers(4, 67, (2, 9)).astype("int32")
    images = images[:, 0] if num_images == 1 else images[:, :num_images]
    return {
        "images": images,
        "token_ids": token_ids,
        "padding_mask": np.ones_like(token_ids),
        "response_mask": RESPONSE_MASK,
    }


@pytest.mark.parametrize("num_images", [1, 2])
def test_logits_equal_big_vision(model, generation, num_images):
    name = {1: "one", 2: "two"}[num_images]
    with np.load(DATA / "big_vision_logits.npz") as reference:
        expected = reference[f"{generation}/{name}"]
    if generation == 2:
        expected = 30.0 * np.tanh(expected / 30.0)
    logits = model.predict(inputs_for(num_images), verbose=0)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    # The weights are not flat: the reference prefers different tokens.
    assert len(np.unique(expected.argmax(-1))) > 5


def test_generation_2_is_recognised_by_its_post_norms(model, generation):
    config = model.backbone.get_config()
    assert config["use_post_attention_norm"] == (generation == 2)
    assert config["attention_logit_soft_cap"] == {1: None, 2: 50.0}[generation]
    assert config["final_logit_soft_cap"] == {1: None, 2: 30.0}[generation]
