"""Average precision against pycocotools on files, and values by hand."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_paligemma.evaluation.detection import detection_scores
from keras_paligemma.evaluation.detection import size_of
from keras_paligemma.tasks import Box

CAT = Box(0.0, 0.0, 0.5, 0.5, "cat", 0.9)
# A third of it overlaps with `CAT`.
BESIDE = Box(0.0, 0.25, 0.5, 0.75, "cat", 0.8)
DOG = Box(0.6, 0.6, 0.7, 0.7, "dog", 0.7)


def test_all_found_and_nothing_found():
    truth = [[CAT, DOG], []]
    perfect = detection_scores(truth, truth)
    assert list(perfect.values()) == pytest.approx([1.0] * len(perfect))
    assert "mAP@0.5/small" in perfect and "mAP@0.5/medium" not in perfect
    assert set(detection_scores([[], []], truth).values()) == {0.0}
    assert set(detection_scores([[CAT]], [[]]).values()) == {0.0}
    assert set(detection_scores([[]], [[]]).values()) == {0.0}


def test_a_missing_label_halves_the_mean():
    scores = detection_scores([[CAT]], [[CAT, DOG]])
    assert scores["mAP@0.5"] == pytest.approx(0.5)
    assert (scores["precision@0.5"], scores["recall@0.5"]) == (1.0, 0.5)


def test_a_label_that_is_not_there_lowers_precision_alone():
    unicorn = Box(0.1, 0.1, 0.2, 0.2, "unicorn", 1.0)
    scores = detection_scores([[CAT, unicorn]], [[CAT]])
    assert scores["mAP@0.5"] == pytest.approx(1.0)
    assert scores["precision@0.5"] == 0.5


def test_labels_are_compared_without_case_and_blanks():
    found = Box(*CAT.yxyx, " Cat ")
    assert detection_scores([[found]], [[CAT]])["mAP@0.5"] == pytest.approx(1.0)


def test_scores_order_the_boxes():
    # The wrong box first: precision 1/2 at the only true one.
    wrong_first = [[BESIDE, Box(*DOG.yxyx, "cat", 0.95)]]
    assert detection_scores(wrong_first, [[BESIDE]])[
        "mAP@0.5"
    ] == pytest.approx(0.5)
    right_first = [[BESIDE, Box(*DOG.yxyx, "cat", 0.1)]]
    assert detection_scores(right_first, [[BESIDE]])[
        "mAP@0.5"
    ] == pytest.approx(1.0)


def test_an_overlap_of_a_third_is_no_match():
    assert detection_scores([[BESIDE]], [[CAT]])["mAP@0.5"] == 0.0


@pytest.mark.parametrize(
    "side, size",
    [(0.19, "small"), (0.21, "medium"), (0.33, "medium"), (0.34, "large")],
)
def test_sizes(side, size):
    box = Box(0.0, 0.0, side, side, "cat")
    assert size_of(box) == size
    sizes = {
        name.split("/")[1]
        for name in detection_scores([[box]], [[box]])
        if "/" in name
    }
    assert sizes == {size}


def random_boxes(rng, count, truth=()):
    boxes = []
    for box in truth:
        if rng.random() < 0.8:
            y, x = rng.normal(scale=0.02, size=2)
            edges = (box.ymin + y, box.xmin + x, box.ymax + y, box.xmax + x)
            boxes.append(Box(*edges, box.label, float(rng.random())))
    for _ in range(count):
        y, x = rng.random(2) * 0.6
        height, width = 0.05 + rng.random(2) * 0.35
        label = f"thing {rng.integers(4)}"
        score = float(rng.random())
        boxes.append(Box(y, x, y + height, x + width, label, score))
    return boxes


def test_the_scores_are_those_of_pycocotools_on_files(tmp_path):
    rng = np.random.default_rng(0)
    truths = [random_boxes(rng, int(rng.integers(0, 6))) for _ in range(40)]
    found = [random_boxes(rng, 2, truth) for truth in truths]
    # Images of 200 rows and 300 columns, and COCO's own reader of results.
    height, width = 200, 300

    def rows(all_boxes, scored):
        for image, boxes in enumerate(all_boxes, start=1):
            for box in boxes:
                x, y, w, h = box.to("coco", (height, width))
                yield {
                    "image_id": image,
                    "category_id": int(box.label[-1]) + 1,
                    "bbox": [x, y, w, h],
                    **({"score": box.score} if scored else {}),
                }

    annotations = list(rows(truths, False))
    for number, row in enumerate(annotations, start=1):
        row["area"] = row["bbox"][2] * row["bbox"][3]
        row.update(id=number, iscrowd=0)
    truth_file, found_file = tmp_path / "truth.json", tmp_path / "found.json"
    truth_file.write_text(
        json.dumps(
            {
                "info": {},
                "images": [
                    {"id": image, "height": height, "width": width}
                    for image in range(1, 41)
                ],
                "categories": [
                    {"id": i + 1, "name": f"thing {i}"} for i in range(4)
                ],
                "annotations": annotations,
            }
        )
    )
    found_file.write_text(json.dumps(list(rows(found, True))))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth_file))
        evaluation = COCOeval(coco, coco.loadRes(str(found_file)), "bbox")
        area = height * width
        evaluation.params.areaRng[1:] = [
            [0, area / 25],
            [area / 25, area / 9],
            [area / 9, 1e12],
        ]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    scores = detection_scores(found, truths)
    names = (
        "mAP@[.5:.95]",
        "mAP@0.5",
        "mAP@0.75",
        "mAP@[.5:.95]/small",
        "mAP@[.5:.95]/medium",
        "mAP@[.5:.95]/large",
    )
    assert 0.1 < scores["mAP@0.5"] < 0.9
    for name, expected in zip(names, evaluation.stats[:6], strict=True):
        assert scores[name] == pytest.approx(expected, abs=1e-9), name
    assert scores["AR@[.5:.95]"] == pytest.approx(evaluation.stats[8])


def test_nothing_is_printed(capsys):
    detection_scores([[CAT]], [[CAT]])
    assert capsys.readouterr().out == ""


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 predictions, 1 references"):
        detection_scores([[], []], [[]])
