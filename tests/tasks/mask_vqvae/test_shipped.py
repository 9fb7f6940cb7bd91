"""The codec that ships, on masks that it was not trained on."""

import numpy as np
import pytest

from examples import train_mask_vqvae
from keras_paligemma.data.synthetic.mask_crops import KINDS
from keras_paligemma.data.synthetic.mask_crops import draw_mask
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks import Segment
from keras_paligemma.tasks import polygons_to_mask
from keras_paligemma.tasks.mask_vqvae import load_mask_codec


@pytest.fixture(scope="module")
def codec():
    return load_mask_codec()


def overlap(codec, mask):
    back = Mask.of(mask, codec).pixels(codec, mask.shape)
    return (mask & back).sum() / (mask | back).sum()


def test_drawn_masks_come_back(codec):
    scores = {}
    for kind in KINDS:
        rng = np.random.default_rng(777)
        masks = [
            draw_mask(rng, (kind,), train_mask_vqvae.HELD_OUT)
            for _ in range(48)
        ]
        scores[kind] = np.mean([overlap(codec, mask) for mask in masks])
    # Strips down to a thirtieth of the crop's side stand at 0.90.
    thin = scores.pop("strip")
    assert thin >= 0.88, thin
    assert min(scores.values()) >= 0.90, scores


def polygons():
    """Outlines as COCO has them, in pixels of 480 by 640."""
    bird = [211, 150, 236, 131, 263, 128, 281, 140, 303, 148, 284, 155]
    bird += [279, 185, 259, 214, 226, 226, 190, 251, 150, 272, 169, 240]
    bird += [190, 205, 199, 172]
    bottle = [300, 60, 322, 60, 324, 120, 341, 150, 345, 400, 336, 412]
    bottle += [288, 412, 279, 400, 281, 150, 298, 120]
    person = [100, 40, 122, 36, 138, 52, 134, 82, 162, 100, 184, 190, 170, 196]
    person += [150, 140, 152, 240, 170, 380, 148, 384, 122, 262, 104, 386]
    person += [82, 384, 90, 240, 78, 140, 56, 196, 42, 190, 64, 100, 98, 82]
    skis = [20, 430, 300, 380, 306, 392, 24, 444]
    boat = [0, 300, 639, 280, 600, 360, 420, 400, 120, 404, 0, 380]
    corner = [540, 0, 639, 0, 639, 130, 600, 120, 560, 60]
    two = [[50, 50, 250, 40, 260, 120, 60, 130], [300, 60, 420, 64, 410, 140]]
    return [[p] for p in (bird, bottle, person, skis, boat, corner)] + [two]


def test_outlines_of_coco_come_back(codec):
    masks = [polygons_to_mask(one, (480, 640)) for one in polygons()]
    scores = [overlap(codec, mask) for mask in masks]
    assert np.mean(scores) >= 0.90, scores
    assert min(scores) >= 0.80, scores


def test_masks_of_photographs_come_back(codec):
    data = pytest.importorskip("skimage.data")
    measure = pytest.importorskip("skimage.measure")
    ndimage = pytest.importorskip("scipy.ndimage")
    masks = [~data.horse()]
    # Without holes, as outlines are.
    labels = measure.label(ndimage.binary_fill_holes(data.coins() > 130))
    for region in measure.regionprops(labels):
        if region.area > 600:
            masks.append(labels == region.label)
    assert len(masks) > 20
    scores = [overlap(codec, mask) for mask in masks]
    assert np.mean(scores) >= 0.90, scores
    assert scores[0] >= 0.75  # The horse's legs take more than 112 bits.


def test_thin_and_whole(codec):
    whole = np.ones((100, 150), bool)
    assert overlap(codec, whole) > 0.99
    for rows, columns in ((slice(50, 52), slice(0, 150)), (slice(9), slice(2))):
        mask = np.zeros((100, 150), bool)
        mask[rows, columns] = True
        assert overlap(codec, mask) > 0.99
    slanted = np.zeros((200, 200), bool)
    for step in range(180):
        slanted[step : step + 8, step + 10 : step + 18] = True
    assert overlap(codec, slanted) > 0.8


def test_through_the_text_of_the_task(codec):
    mask = polygons_to_mask(polygons()[2], (480, 640))
    text = Segment().suffix([Mask.of(mask, codec, label="person")])
    (read,) = Segment().parse(text).masks
    back = read.pixels(codec, mask.shape)
    assert (mask & back).sum() / (mask | back).sum() > 0.85


def test_every_codeword_is_used(codec):
    rng = np.random.default_rng(5)
    crops = train_mask_vqvae.draw_crops(rng, 600)
    assert len(np.unique(codec.encode(crops))) > 120
