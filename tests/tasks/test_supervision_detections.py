import sys
import warnings

import numpy as np
import pytest

from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Detect
from keras_paligemma.tasks import Detections
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks import Segmentations
from keras_paligemma.tasks import from_supervision
from keras_paligemma.tasks import mask_to_rle
from keras_paligemma.tasks import to_supervision

SIZE = (100, 200)
BOXES = (
    Box(0.1, 0.2, 0.3, 0.4, "dog", 0.75),
    Box(0, 0, 1, 1, "U.S. flag", 0.5),
)


@pytest.fixture(scope="module", autouse=True)
def supervision():
    with warnings.catch_warnings():
        # It warns, once, where OpenCV is missing.
        warnings.simplefilter("ignore")
        return pytest.importorskip("supervision")


class Full:
    def decode(self, codes):
        return np.ones((len(codes), 64, 64), "float32")


def test_boxes_to_supervision():
    detections = to_supervision(Detections(BOXES), SIZE)
    np.testing.assert_allclose(
        detections.xyxy, [[40, 10, 80, 30], [0, 0, 200, 100]]
    )
    assert detections.data["class_name"].tolist() == ["dog", "U.S. flag"]
    assert detections.class_id.tolist() == [1, 0]
    assert detections.confidence.tolist() == [0.75, 0.5]
    assert detections.mask is None
    named = to_supervision(BOXES, SIZE, things=["dog", "cat"])
    assert named.class_id.tolist() == [0, -1]


def test_boxes_from_supervision():
    found = from_supervision(to_supervision(BOXES, SIZE), SIZE)
    for box, original in zip(found, BOXES, strict=True):
        np.testing.assert_allclose(box.yxyx, original.yxyx)
        assert (box.label, box.score) == (original.label, original.score)


def test_labels_by_class_id(supervision):
    detections = supervision.Detections(
        xyxy=np.array([[0.0, 0, 10, 10]]), class_id=np.array([1])
    )
    (box,) = from_supervision(detections, SIZE, things=["cat", "dog"])
    assert (box.label, box.score) == ("dog", None)
    with pytest.raises(ValueError, match="class_name"):
        from_supervision(detections, SIZE)


def test_no_boxes_and_unscored_boxes():
    empty = to_supervision(Detect().parse(""), SIZE)
    assert len(empty) == 0 and from_supervision(empty, SIZE) == []
    assert len(to_supervision(Segmentations(), SIZE, codec=Full())) == 0
    unscored = to_supervision([Box(0, 0, 1, 1, "cat"), *BOXES], SIZE)
    assert unscored.confidence is None


def test_masks_to_supervision():
    masks = Segmentations((Mask(BOXES[0], range(16)),))
    detections = to_supervision(masks, SIZE, codec=Full())
    assert detections.mask.shape == (1, *SIZE)
    assert detections.mask.sum() == 20 * 40
    assert to_supervision(masks, SIZE).mask is None


@pytest.mark.parametrize(
    "module, call",
    [
        ("supervision", lambda: to_supervision([], SIZE)),
        ("pycocotools", lambda: mask_to_rle(np.ones((2, 2)))),
    ],
)
def test_a_missing_package_is_named(monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"keras-paligemma\[detection\]"):
        call()
