import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from keras_paligemma.data.augmentation import Augmentation
from keras_paligemma.data.augmentation import skip_snippets
from keras_paligemma.data.box_augmentation import move_edges
from keras_paligemma.data.box_augmentation import move_text
from keras_paligemma.data.image_augmentation import draw_crop
from keras_paligemma.data.image_augmentation import encode_jpeg_randomly
from keras_paligemma.data.image_augmentation import resize_randomly
from keras_paligemma.data.record import Record
from keras_paligemma.data.scene_object import SceneObject
from keras_paligemma.data.scene_object import write_things
from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.detect import Detect
from keras_paligemma.tasks.grounded_caption import GroundedCaption
from keras_paligemma.tasks.mask_crops import mask_edges


def rng(seed=0):
    return np.random.default_rng(seed)


def photograph(size=(90, 60)):
    width, height = size
    noise = rng(1).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    return Image.fromarray(noise.astype("uint8")).resize(size)


def test_resizing_draws_from_seven_methods():
    image = photograph()
    results = {resize_randomly(image, rng(i), 24).tobytes() for i in range(80)}
    assert len(results) == 7
    assert resize_randomly(image, rng(3), 24).size == (24, 24)


def test_resizing_without_smoothing_keeps_the_place():
    # A ramp stays the same ramp, whatever the method.
    ramp = np.tile(np.linspace(0, 255, 96).astype("uint8")[:, None], (1, 96))
    image = Image.fromarray(np.repeat(ramp[..., None], 3, axis=-1))
    expected = np.linspace(4, 251, 24)[:, None]
    for seed in range(40):
        resized = np.asarray(resize_randomly(image, rng(seed), 24))[..., 0]
        assert np.abs(resized - expected).max() < 5


def test_jpeg_uses_all_qualities_from_75_to_95():
    image = photograph()
    expected = set()
    for quality in range(75, 96):
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality)
        expected.add(Image.open(data).convert("RGB").tobytes())
    seen = {encode_jpeg_randomly(image, rng(i)).tobytes() for i in range(300)}
    assert seen == expected


def test_crops_keep_the_area():
    areas = []
    for seed in range(500):
        ymin, xmin, ymax, xmax = draw_crop(rng(seed), area_min=0.9)
        assert 0 <= ymin < ymax <= 1 and 0 <= xmin < xmax <= 1
        areas.append((ymax - ymin) * (xmax - xmin))
    assert min(areas) >= 0.9 - 1e-9
    assert 0.94 < np.mean(areas) < 0.96
    with pytest.raises(ValueError, match="`area_min`"):
        draw_crop(rng(), area_min=0)


def test_boxes_move_with_a_crop():
    crop = (0.1, 0.2, 0.9, 1.0)
    assert move_edges((0.1, 0.2, 0.5, 0.6), crop) == pytest.approx(
        (0, 0, 0.5, 0.5)
    )
    assert move_edges((0.0, 0.2, 0.5, 0.6), crop) == pytest.approx(
        (0, 0, 0.5, 0.5)
    )
    assert move_edges((0.0, 0.0, 0.1, 0.2), crop) is None
    text = "<loc0102><loc0205><loc0512><loc0614> a cat"
    assert move_text(text, crop) == "<loc0000><loc0000><loc0512><loc0512> a cat"
    assert move_text("<loc0102> 5", crop) is None
    assert move_text("no box", crop) == "no box"


class Codec:
    def encode(self, crops):
        return np.full((len(crops), 16), 1)


def rectangle_record(with_mask=True):
    """A red and a blue rectangle on grey, with their boxes and masks."""
    pixels = np.full((100, 120, 3), 128, "uint8")
    objects = []
    for label, colour, (top, left, bottom, right) in [
        ("red", (255, 0, 0), (10, 20, 50, 60)),
        ("blue", (0, 0, 255), (40, 70, 90, 110)),
    ]:
        pixels[top:bottom, left:right] = colour
        mask = np.zeros((100, 120), bool)
        mask[top:bottom, left:right] = True
        box = Box(top / 100, left / 120, bottom / 100, right / 120, label)
        objects.append(SceneObject(box, mask if with_mask else None))
    suffix = write_things(objects, Codec() if with_mask else None)
    return Record(
        (Image.fromarray(pixels),), "detect red", suffix, objects=tuple(objects)
    )


@pytest.mark.parametrize("with_mask", [True, False])
def test_boxes_and_masks_follow_the_image(with_mask):
    augment = Augmentation(
        area_min=0.7, jpeg_probability=0, codec=Codec() if with_mask else None
    )
    orders, sizes = set(), set()
    for seed in range(30):
        record = augment(rectangle_record(with_mask), rng(seed))
        pixels = np.asarray(record.images[0])
        sizes.add(pixels.shape)
        orders.add(tuple(thing.box.label for thing in record.objects))
        for thing in record.objects:
            red = thing.box.label == "red"
            colour = (255, 0, 0) if red else (0, 0, 255)
            truth = (pixels == colour).all(-1)
            drawn = np.zeros_like(truth)
            top, left, bottom, right = thing.box.pixels(truth.shape)
            drawn[top:bottom, left:right] = True
            np.testing.assert_array_equal(drawn, truth)
            if with_mask:
                np.testing.assert_array_equal(thing.mask, truth)
        if not with_mask:
            boxes = Detect().parse(record.suffix).boxes
            for box, thing in zip(boxes, record.objects, strict=True):
                assert box.label == thing.box.label
                np.testing.assert_allclose(
                    box.yxyx, thing.box.yxyx, atol=0.51 / 1023
                )
    assert orders == {("red", "blue"), ("blue", "red")}
    assert len(sizes) > 10


def test_masks_without_a_codec_and_unknown_tokens_are_left_alone():
    augment = Augmentation(area_min=0.7, jpeg_probability=0)
    masked = rectangle_record()
    points = Record(masked.images, "point", "<loc0001><loc0002> x")
    for record in (masked, points):
        result = augment(record, rng(1))
        assert result.suffix == record.suffix
        assert result.images[0].size == (120, 100)


def test_the_boxes_of_a_grounded_caption_move():
    record = rectangle_record(with_mask=False)
    box = record.objects[0].box
    record = Record(record.images, f"caption {box.tokens()}", "red")
    result = Augmentation(area_min=0.7, jpeg_probability=0)(record, rng(2))
    (moved,) = Detect().parse(result.prefix.removeprefix("caption ")).boxes
    pixels = np.asarray(result.images[0])
    rows, columns = np.nonzero((pixels == (255, 0, 0)).all(-1))
    height, width = pixels.shape[:2]
    expected = (
        rows.min() / height,
        columns.min() / width,
        (rows.max() + 1) / height,
        (columns.max() + 1) / width,
    )
    np.testing.assert_allclose(moved.yxyx, expected, atol=2 / 1023)


@pytest.mark.parametrize("codec", [None, Codec()])
def test_what_is_written_does_not_depend_on_what_else_is_known(codec):
    # The synthetic world knows the masks of things in all of its records.
    augment = Augmentation(area_min=0.7, jpeg_probability=0, codec=codec)
    masked = rectangle_record()
    red = masked.objects[0]
    detect = dataclasses.replace(masked, suffix=write_things(masked.objects))
    region = dataclasses.replace(
        masked,
        prefix=GroundedCaption().prefix(red.box),
        suffix="a red thing",
        objects=(red,),
    )
    orders, sizes = set(), set()
    for seed in range(20):
        result = augment(detect, rng(seed))
        found = Detect().parse(result.suffix)
        assert not found.problems
        for box, thing in zip(found.boxes, result.objects, strict=True):
            assert box.label == thing.box.label
            np.testing.assert_allclose(
                box.yxyx, thing.box.yxyx, atol=0.51 / 1023
            )
        orders.add(tuple(box.label for box in found.boxes))
        sizes.add(result.images[0].size)
        result = augment(region, rng(seed))
        assert result.suffix == "a red thing"
        box = GroundedCaption().read_prefix(result.prefix)["box"]
        truth = (np.asarray(result.images[0]) == (255, 0, 0)).all(-1)
        np.testing.assert_allclose(box.yxyx, mask_edges(truth), atol=2 / 1023)
        np.testing.assert_array_equal(result.objects[0].mask, truth)
    assert orders == {("red", "blue"), ("blue", "red")}
    assert len(sizes) > 10


def test_a_record_of_which_some_masks_are_missing_is_left_alone():
    record = rectangle_record()
    bare = dataclasses.replace(record.objects[1], mask=None)
    record = dataclasses.replace(record, objects=(record.objects[0], bare))
    augment = Augmentation(area_min=0.7, jpeg_probability=0, codec=Codec())
    result = augment(record, rng(1))
    assert result.suffix == record.suffix
    assert result.images[0].size == (120, 100)


def test_a_record_without_an_image():
    record = Record((), "answer en how many?", "2")
    assert Augmentation()(record, rng()) == record


def test_snippets_are_left_out_until_they_fit():
    snippets = ["EXIT", "Gate 12", "A", "Departures"]
    results = {skip_snippets(snippets, rng(i), 14) for i in range(60)}
    assert len(results) > 3
    for kept in results:
        assert len("\n".join(kept)) <= 14
        assert list(kept) == [s for s in snippets if s in kept]
        room = 14 - len("\n".join(kept)) - 1
        assert kept and any(len(s) > room for s in snippets if s not in kept)
    assert skip_snippets(snippets, rng(), 99) == tuple(snippets)
    assert skip_snippets(snippets, rng(), 0) == ()
    augment = Augmentation(max_snippets_length=14)
    record = Record((photograph(),), "ocr", "", snippets=tuple(snippets))
    result = augment(record, rng(1))
    assert result.suffix == "\n".join(result.snippets)


def test_augmentation_is_deterministic_and_resizes():
    augment = Augmentation(image_size=32, jpeg_probability=1.0)
    images = [
        augment(rectangle_record(False), rng(seed)).images[0]
        for seed in (1, 1, 2)
    ]
    assert images[0].size == (32, 32)
    assert images[0].tobytes() == images[1].tobytes() != images[2].tobytes()
