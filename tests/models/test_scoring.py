"""`score`: against the log-softmax of the logits."""

import numpy as np
import pytest

from tests import tiny
from tests.models import tiny_models


def raw_examples():
    photographs = tiny.photographs()
    return {
        "images": [photographs["cat"], photographs["coffee"]],
        "prompts": ["caption en", "answer en what colour is the sky?"],
        "responses": ["A cat lies on a couch", "blue"],
    }


def test_modes_agree(text_task):
    raw = raw_examples()
    x, targets, weights = text_task.preprocessor(raw)
    logits = text_task.score(raw, "logits")
    assert logits.shape == (2, 32, text_task.backbone.vocabulary_size)
    log_probs = tiny_models.log_softmax(logits)
    chosen = np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
    rows = text_task.score(raw)
    assert [len(row) for row in rows] == weights.sum(axis=1).tolist()
    for row, scores in enumerate(rows):
        np.testing.assert_allclose(
            scores, chosen[row][weights[row] > 0], atol=1e-4
        )
    np.testing.assert_allclose(
        text_task.score(raw, "total"), (chosen * weights).sum(1), rtol=1e-4
    )


def test_a_shorter_padding_scores_the_same(text_task):
    raw = raw_examples()
    np.testing.assert_allclose(
        text_task.score(raw, "total", max_length=24),
        text_task.score(raw, "total"),
        rtol=1e-4,
    )


def test_scores_of_generate_equal_score(text_task):
    raw = raw_examples()
    del raw["responses"]
    answers, scores = text_task.generate(
        raw, stop_token_ids=None, return_scores=True
    )
    batch = text_task.preprocessor.generate_preprocess(raw)
    lengths = batch["padding_mask"].sum(axis=1)
    assert [len(s) for s in scores] == (32 - lengths).tolist()
    assert len(answers) == 2
    single, alone = text_task.generate(
        {key: values[0] for key, values in raw.items()},
        stop_token_ids=None,
        return_scores=True,
    )
    assert single == answers[0]
    np.testing.assert_allclose(alone, scores[0], atol=1e-4)


def test_a_bad_mode_is_named(text_task):
    with pytest.raises(ValueError, match="scoring_mode='perplexity'"):
        text_task.score(raw_examples(), "perplexity")
