"""Boxes against the true ones: COCO's average precision, by pycocotools.

pycocotools is imported when it is needed; it comes with `pip install
keras-paligemma[detection]`.
"""

import contextlib
import io

import numpy as np

from keras_paligemma.evaluation.text_scores import check_lengths
from keras_paligemma.evaluation.text_scores import normalize_text

# Shares of the image's area up to which a box is small, and medium: boxes of
# a fifth and of a third of the image's side.
SIZE_LIMITS = (1 / 25, 1 / 9)
SIZES = ("small", "medium", "large")
MAX_BOXES = 100
# COCO counts in pixels. What the side of an image is makes no difference.
_SIDE = 1024.0
_ANY_SIZE = (0.0, 1e12)


def normalize_label(label):
    """The form in which labels are compared, without regard to case."""
    return normalize_text(label).casefold()


def size_of(box, size_limits=SIZE_LIMITS):
    """What a box counts as: `"small"`, `"medium"` or `"large"`."""
    area = (box.ymax - box.ymin) * (box.xmax - box.xmin)
    return SIZES[int(np.searchsorted(size_limits, area, side="right"))]


def detection_scores(predictions, truths, size_limits=SIZE_LIMITS):
    """Measures boxes as COCO does.

    Labels are free text, compared without regard to case. `mAP` is the mean
    over the labels of the truth, as COCO has it: a box with a label that is
    nowhere in the truth does not lower it, but it lowers `precision@0.5`.
    Boxes without a score count as sure (1.0); among equal scores, those of
    earlier images come first. Of an image, the 100 surest boxes count.

    Args:
        predictions: sequence, one an image, of sequences of `Box`.
        truths: sequence, one an image, of sequences of `Box`.
        size_limits: tuple of two floats. Shares of the image's area, below
            which a box is small, and medium.

    Returns:
        dict of name to float: `mAP@0.5`, `mAP@0.75`, `mAP@[.5:.95]` and
        `AR@[.5:.95]`, for those sizes of which there is one in the truth
        `mAP@0.5/small` and `mAP@[.5:.95]/small` and so on; `precision@0.5`
        and `recall@0.5` over all boxes, whatever their score.

    Raises:
        ValueError: If the lengths differ.
        ImportError: If pycocotools is missing.

    Example:

    ```python
    cat = Box(0.1, 0.1, 0.6, 0.6, "cat")
    detection_scores([[cat]], [[cat]])["mAP@0.5"]  # 1.0
    ```
    """
    check_lengths(predictions, truths)
    evaluation = _evaluate(predictions, truths, size_limits)
    precision = evaluation.eval["precision"]
    recall = evaluation.eval["recall"]
    scores = {
        "mAP@0.5": _mean(precision[0, :, :, 0, -1]),
        "mAP@0.75": _mean(precision[5, :, :, 0, -1]),
        "mAP@[.5:.95]": _mean(precision[:, :, :, 0, -1]),
        "AR@[.5:.95]": _mean(recall[:, :, 0, -1]),
    }
    for index, size in enumerate(SIZES, start=1):
        if (precision[:, :, :, index, -1] > -1).any():
            of_size = precision[:, :, :, index, -1]
            scores[f"mAP@0.5/{size}"] = _mean(of_size[0])
            scores[f"mAP@[.5:.95]/{size}"] = _mean(of_size)
    matched, found, there = _count_matches(evaluation)
    scores["precision@0.5"] = matched / max(1, found)
    scores["recall@0.5"] = matched / max(1, there)
    return scores


def _evaluate(predictions, truths, size_limits):
    coco, evaluator = _pycocotools()
    labels = sorted(
        {
            normalize_label(box.label)
            for boxes in (*predictions, *truths)
            for box in boxes
        }
    )
    ids = {label: number for number, label in enumerate(labels, start=1)}
    images = range(1, len(truths) + 1)

    def collected(all_boxes):
        # What pycocotools makes of a file of annotations.
        data = coco()
        data.dataset = {
            "images": [{"id": image} for image in images],
            "categories": [{"id": i, "name": name} for name, i in ids.items()],
            "annotations": [],
        }
        for image, boxes in zip(images, all_boxes, strict=True):
            for box in boxes:
                number = len(data.dataset["annotations"]) + 1
                category = ids[normalize_label(box.label)]
                data.dataset["annotations"].append(
                    _annotation(number, image, category, box)
                )
        data.createIndex()
        return data

    smallest, medium = (limit * _SIDE**2 for limit in size_limits)
    # It prints its progress, and so does its reading of data.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = evaluator(
            collected(truths), collected(predictions), iouType="bbox"
        )
        evaluation.params.maxDets = [1, 10, MAX_BOXES]
        evaluation.params.catIds = list(ids.values())
        evaluation.params.areaRng = [
            _ANY_SIZE,
            (0.0, smallest),
            (smallest, medium),
            (medium, _ANY_SIZE[1]),
        ]
        evaluation.params.areaRngLbl = ["all", *SIZES]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _annotation(number, image, category, box):
    height, width = box.ymax - box.ymin, box.xmax - box.xmin
    sides = [box.xmin, box.ymin, width, height]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [_SIDE * side for side in sides],
        "area": _SIDE**2 * height * width,
        "iscrowd": 0,
        "score": 1.0 if box.score is None else float(box.score),
    }


def _count_matches(evaluation):
    """Matched, predicted and true boxes, at an IoU of 0.5."""
    matched = found = there = 0
    for entry in evaluation.evalImgs:
        if entry is not None and tuple(entry["aRng"]) == _ANY_SIZE:
            matched += np.count_nonzero(entry["dtMatches"][0])
            found += len(entry["dtIds"])
            there += len(entry["gtIds"])
    return int(matched), found, there


def _mean(values):
    """The mean where COCO has a value; it writes -1 where it has none."""
    values = values[values > -1]
    return float(values.mean()) if values.size else 0.0


def _pycocotools():
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError(
            "The average precision is computed by pycocotools. Install it "
            "with `pip install keras-paligemma[detection]`."
        ) from error
    return COCO, COCOeval
