"""PaliGemma 2's options: norms, soft caps, query scale, sliding window."""

import keras
import keras_hub
import numpy as np
import pytest

from tests.models import tiny_models
from tests.models.tiny_models import answers_of
from tests.models.tiny_models import full_pass
from tests.models.tiny_models import greedy_answers
from tests.models.tiny_models import logits_of

OPTIONS = {
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
    "attention_logit_soft_cap": 5.0,
    "final_logit_soft_cap": 2.0,
}


@pytest.fixture(scope="module")
def gemma2():
    return tiny_models.tiny_task(
        tiny_models.tiny_backbone(
            **OPTIONS, use_sliding_window_attention=True, sliding_window_size=6
        )
    )


def copy_of(task, **changes):
    """The same weights under other options."""
    copy = tiny_models.tiny_backbone(**{**OPTIONS, **changes})
    for mine, theirs in zip(copy.weights, task.backbone.weights, strict=True):
        mine.assign(keras.ops.convert_to_numpy(theirs))
    return tiny_models.tiny_task(copy)


def test_post_norms_have_weights_of_their_own(gemma2):
    paths = gemma2.backbone.variables_by_path()
    for i in range(2):
        assert f"decoder/block_{i}/post_attention_norm/scale" in paths
        assert f"decoder/block_{i}/post_feedforward_norm/scale" in paths


def test_cached_decoding_equals_full_passes(gemma2, prompts):
    # Seven image and prompt tokens and more: the window of six is crossed.
    outputs, scores = gemma2.generate(
        prompts, stop_token_ids=None, return_scores=True
    )
    answers = answers_of(outputs, prompts)
    assert answers == greedy_answers(gemma2, prompts)
    _, expected = full_pass(gemma2, prompts, answers)
    for mine, theirs in zip(scores, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_beams_decode_with_a_window_too(gemma2, prompts):
    beam = tiny_models.tiny_task(
        gemma2.backbone, sampler=keras_hub.samplers.BeamSampler(num_beams=2)
    )
    outputs, scores = beam.generate(
        prompts, stop_token_ids=None, return_scores=True
    )
    answers = answers_of(outputs, prompts)
    _, expected = full_pass(gemma2, prompts, answers)
    for mine, theirs in zip(scores, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_the_final_soft_cap_bounds_every_logit(gemma2, prompts):
    capped = logits_of(gemma2, prompts)
    assert np.abs(capped).max() <= 2.0
    free = logits_of(
        copy_of(
            gemma2,
            final_logit_soft_cap=None,
            use_sliding_window_attention=True,
            sliding_window_size=6,
        ),
        prompts,
    )
    np.testing.assert_allclose(capped, 2.0 * np.tanh(free / 2.0), atol=1e-4)


def test_a_window_changes_long_sequences_only(gemma2, prompts):
    wide, none = (
        logits_of(copy_of(gemma2, **options), prompts)
        for options in (
            {"use_sliding_window_attention": True, "sliding_window_size": 99},
            {"use_sliding_window_attention": False},
        )
    )
    np.testing.assert_allclose(wide, none, atol=1e-5)
    assert np.abs(logits_of(gemma2, prompts) - none)[1].max() > 0.01


def test_each_option_changes_the_logits(gemma2, prompts):
    base = logits_of(copy_of(gemma2), prompts)
    for changes in (
        {"attention_logit_soft_cap": None},
        {"query_head_dim_normalize": False, "head_dim": 8, "hidden_dim": 32},
    ):
        other = copy_of(gemma2, **changes)
        difference = np.abs(logits_of(other, prompts) - base).max()
        if changes.get("query_head_dim_normalize") is False:
            # 32 / 4 heads is the head size: the two scales are one here.
            assert difference == 0.0
        else:
            assert difference > 1e-3


def test_queries_may_be_scaled_by_width_over_heads():
    shape = {"head_dim": 16}
    scales = {
        normalize: tiny_models.tiny_backbone(
            **shape, query_head_dim_normalize=normalize
        ).decoder.block_config["attention"]["query_scale"]
        for normalize in (True, False)
    }
    assert scales == {True: 16**-0.5, False: (32 / 4) ** -0.5}
