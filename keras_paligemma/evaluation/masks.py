"""Masks against the true ones: intersection over union (IoU).

Things of one label are matched by scipy, which is imported when it is needed;
it comes with `pip install keras-paligemma[evaluation]`.
"""

import dataclasses

import numpy as np

from keras_paligemma.evaluation.detection import normalize_label


@dataclasses.dataclass(frozen=True)
class MaskMatches:
    """How the masks of an image fit the true ones.

    Args:
        ious: tuple of float. One for each true mask, in their order; 0.0 for
            one that was not found.
        missing: int. True masks that none was matched to.
        extra: int. Masks that were matched to no true one.
    """

    ious: tuple
    missing: int
    extra: int


def mask_iou(first, second):
    """The pixels of both masks over those of either; 1.0 of two empty ones.

    Args:
        first, second: bool arrays `[height, width]`.

    Returns:
        float.

    Raises:
        ValueError: If the shapes differ.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape:
        raise ValueError(
            "Masks must be of one size to be compared. Received: shapes "
            f"{first.shape} and {second.shape}"
        )
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def match_masks(predictions, truths):
    """Matches the masks of an image with the true ones.

    Only masks of one label (without regard to case) are matched, each with
    one at most, so that the sum of their IoUs is the largest; masks that
    share no pixel are no match.

    Args:
        predictions: sequence of tuples of a label and a bool array `[height,
            width]`.
        truths: the same.

    Returns:
        `MaskMatches`.

    Raises:
        ValueError: If the shapes differ.
        ImportError: If scipy is missing.

    Example:

    ```python
    match_masks([("cat", mask)], [("cat", mask), ("dog", other)]).ious
    # (1.0, 0.0)
    ```
    """
    assign = _linear_sum_assignment()
    ious = [0.0] * len(truths)
    matched = 0
    found, there = _by_label(predictions), _by_label(truths)
    for label in sorted(set(found) & set(there)):
        table = np.array(
            [
                [
                    mask_iou(truths[i][1], predictions[j][1])
                    for j in found[label]
                ]
                for i in there[label]
            ]
        )
        for row, column in zip(*assign(table, maximize=True), strict=True):
            if table[row, column] > 0:
                ious[there[label][row]] = float(table[row, column])
                matched += 1
    return MaskMatches(
        tuple(ious), len(truths) - matched, len(predictions) - matched
    )


def mask_scores(matches):
    """Measures the masks of all images.

    Args:
        matches: sequence of `MaskMatches`, one an image.

    Returns:
        dict of name to float: `mean_iou` over all true masks, where missing
        ones count 0; `mean_iou_with_extra`, where masks that should not be
        there count 0 too; `recall@0.5`, the share of true masks with an IoU
        of at least 0.5; `missing` and `extra`, of so many true masks.
    """
    ious = np.array([iou for match in matches for iou in match.ious], float)
    extra = sum(match.extra for match in matches)
    missing = sum(match.missing for match in matches)
    things = max(1, ious.size)
    return {
        "mean_iou": float(ious.sum() / things),
        "mean_iou_with_extra": float(ious.sum() / max(1, ious.size + extra)),
        "recall@0.5": float(np.count_nonzero(ious >= 0.5) / things),
        "missing": missing / things,
        "extra": extra / things,
    }


def _by_label(things):
    """The positions of things by their labels."""
    positions = {}
    for position, (label, _) in enumerate(things):
        positions.setdefault(normalize_label(label), []).append(position)
    return positions


def _linear_sum_assignment():
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "Masks are matched by scipy. Install it with "
            "`pip install keras-paligemma[evaluation]`."
        ) from error
    return linear_sum_assignment
