"""IoU of masks, against values by hand, scikit-learn, and all assignments."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from keras_paligemma.evaluation.masks import mask_iou
from keras_paligemma.evaluation.masks import mask_scores
from keras_paligemma.evaluation.masks import match_masks


def bar(start, stop, length=12):
    mask = np.zeros((2, length), bool)
    mask[:, start:stop] = True
    return mask


def test_iou():
    assert mask_iou(bar(0, 4), bar(0, 4)) == 1.0
    assert mask_iou(bar(0, 4), bar(2, 6)) == pytest.approx(1 / 3)
    assert mask_iou(bar(0, 4), bar(4, 6)) == 0.0
    assert mask_iou(bar(0, 0), bar(0, 0)) == 1.0
    with pytest.raises(ValueError, match="shapes"):
        mask_iou(bar(0, 4), bar(0, 4, 13))
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 20, 20)) < 0.4
    expected = jaccard_score(first.ravel(), second.ravel())
    assert mask_iou(first, second) == pytest.approx(expected)


def test_missing_and_extra_things():
    truths = [("cat", bar(0, 4)), ("cat", bar(6, 10)), ("dog", bar(0, 12))]
    found = [("Cat", bar(6, 8)), ("bird", bar(0, 4))]
    match = match_masks(found, truths)
    assert match.ious == (0.0, 0.5, 0.0)
    assert (match.missing, match.extra) == (2, 1)
    scores = mask_scores([match, match_masks([], [])])
    assert scores["mean_iou"] == pytest.approx(0.5 / 3)
    assert scores["mean_iou_with_extra"] == pytest.approx(0.5 / 4)
    assert scores["recall@0.5"] == pytest.approx(1 / 3)
    assert scores["missing"] == pytest.approx(2 / 3)
    assert scores["extra"] == pytest.approx(1 / 3)


def test_a_thing_is_matched_once():
    match = match_masks([("cat", bar(0, 4))] * 2, [("cat", bar(0, 4))])
    assert match.ious == (1.0,) and match.extra == 1
    match = match_masks([("cat", bar(0, 4))], [("cat", bar(0, 4))] * 2)
    assert sorted(match.ious) == [0.0, 1.0] and match.missing == 1


def test_masks_apart_are_no_match():
    match = match_masks([("cat", bar(6, 9))], [("cat", bar(0, 4))])
    assert (match.missing, match.extra) == (1, 1)


def test_the_best_of_all_assignments_is_found():
    rng = np.random.default_rng(1)
    for _ in range(20):
        masks = rng.random((6, 3, 4)) < 0.5
        truths, found = masks[:3], masks[3:]
        match = match_masks(
            [("a", m) for m in found], [("a", m) for m in truths]
        )
        best = max(
            sum(mask_iou(t, found[i]) for t, i in zip(truths, o, strict=True))
            for o in itertools.permutations(range(3))
        )
        assert sum(match.ious) == pytest.approx(best)


def test_no_masks_at_all():
    assert set(mask_scores([]).values()) == {0.0}
