import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_paligemma.tasks import BOX_FORMATS
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import convert_boxes
from tests.tasks import strategies

SIZE = (480, 640)  # height, width
# One box in all formats.
SAME = {
    "yxyx": (0.1, 0.1, 0.15, 0.2),
    "xyxy": (0.1, 0.1, 0.2, 0.15),
    "xywh": (0.1, 0.1, 0.1, 0.05),
    "yolo": (0.15, 0.125, 0.1, 0.05),
    "coco": (64, 48, 64, 24),
    "pascal_voc": (64, 48, 128, 72),
}


@pytest.mark.parametrize("source", BOX_FORMATS)
@pytest.mark.parametrize("target", BOX_FORMATS)
def test_each_format_to_each_other(source, target):
    converted = convert_boxes([SAME[source]] * 2, source, target, SIZE)
    np.testing.assert_allclose(converted, [SAME[target]] * 2)


@given(strategies.boxes(), st.sampled_from(list(BOX_FORMATS)))
def test_there_and_back(box, box_format):
    values = box.to(box_format, SIZE)
    back = convert_boxes(values, box_format, "yxyx", SIZE)
    np.testing.assert_allclose(back, box.yxyx, atol=1e-12)


def test_a_box_of_another_format():
    box = Box.of(SAME["coco"], "coco", SIZE, label="cat", score=0.5)
    np.testing.assert_allclose(box.yxyx, SAME["yxyx"])
    assert (box.label, box.score) == ("cat", 0.5)
    assert all(type(edge) is float for edge in box.yxyx)


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4))])
def test_no_boxes_convert_to_no_boxes(boxes):
    assert convert_boxes(boxes, "coco", "yolo", SIZE).shape == (0, 4)


def test_pixels_are_rounded_clipped_and_never_none():
    assert Box(0.1, 0.1, 0.15, 0.2).pixels(SIZE) == (48, 64, 72, 128)
    assert Box(0.5, 1, 0.5, 1).pixels(SIZE) == (240, 639, 241, 640)
    assert Box(-1, -1, 2, 2).pixels(SIZE) == (0, 0, 480, 640)
    assert Box(-2, -2, -1, -1).pixels(SIZE) == (0, 0, 1, 1)


def test_a_box_cannot_be_changed_and_can_be_hashed():
    box = Box(0, 0, 1, 1, "cat")
    with pytest.raises(dataclasses.FrozenInstanceError):
        box.label = "dog"
    assert len({box, Box(0.0, 0.0, 1.0, 1.0, "cat")}) == 1


@pytest.mark.parametrize(
    "edges",
    [(0.5, 0, 0.4, 1), (0, 0.5, 1, 0.4), (0, 0, math.nan, 1), (0, 0, 1, 1e999)],
)
def test_a_box_that_is_inside_out_or_nowhere(edges):
    with pytest.raises(ValueError, match="Received: ymin="):
        Box(*edges)


def test_errors_of_formats():
    with pytest.raises(ValueError, match="source='cocoa'"):
        convert_boxes([0, 0, 1, 1], "cocoa", "yolo")
    with pytest.raises(ValueError, match="target='voc'"):
        convert_boxes([0, 0, 1, 1], "coco", "voc")
    with pytest.raises(ValueError, match="shape \\(3,\\)"):
        convert_boxes([0, 0, 1], "yolo", "yxyx")
    for size in (None, (0, 640), (480,)):
        with pytest.raises(ValueError, match="image_size="):
            convert_boxes([0, 0, 1, 1], "coco", "yolo", size)
