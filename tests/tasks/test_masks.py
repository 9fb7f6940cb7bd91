import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks import crop_mask
from keras_paligemma.tasks import mask_edges
from keras_paligemma.tasks import mask_to_polygons
from keras_paligemma.tasks import mask_to_rle
from keras_paligemma.tasks import paste_mask
from keras_paligemma.tasks import polygons_to_mask
from keras_paligemma.tasks import rle_to_mask

masks = hypothesis_numpy.arrays(
    bool, st.tuples(st.integers(1, 9), st.integers(1, 9))
)


def ellipse(height, width, centre=(0.4, 0.6), radii=(0.3, 0.2)):
    rows = (np.arange(height)[:, None] + 0.5) / height - centre[0]
    columns = (np.arange(width) + 0.5) / width - centre[1]
    return (rows / radii[0]) ** 2 + (columns / radii[1]) ** 2 < 1


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


class QuarterCodec:
    """Codes each cell of the 4 by 4 grid as its mean, in 128 steps."""

    def encode(self, crops):
        cells = np.asarray(crops).reshape(-1, 4, 16, 4, 16)
        return np.round(127 * cells.mean(axis=(2, 4))).reshape(-1, 16)

    def decode(self, codes):
        cells = np.reshape(codes, (-1, 4, 1, 4, 1)) / 127
        return np.broadcast_to(cells, (len(cells), 4, 16, 4, 16)).reshape(
            -1, 64, 64
        )


@pytest.mark.parametrize(
    "size, radii", [((480, 640), (0.3, 0.2)), ((100, 90), (0.05, 0.3))]
)
def test_a_crop_comes_back(size, radii):
    mask = ellipse(*size, radii=radii)
    box = Box(*mask_edges(mask))
    crop = crop_mask(mask, box)
    assert crop.shape == (64, 64) and crop.dtype == np.float32
    assert crop.min() >= 0 and crop.max() <= 1
    assert overlap(paste_mask(crop, box, size), mask) > 0.97


def test_cropping_is_bilinear_with_antialiasing():
    tf = pytest.importorskip("tensorflow")
    mask = ellipse(300, 200)
    box = Box(*mask_edges(mask))
    top, left, bottom, right = box.pixels(mask.shape)
    part = mask[top:bottom, left:right, None].astype("float32")
    expected = tf.image.resize(part, (64, 64), "bilinear", antialias=True)
    np.testing.assert_allclose(
        crop_mask(mask, box), expected[..., 0], atol=1e-5
    )


def test_a_mask_of_one_pixel_and_one_at_the_border():
    for rows, columns in (([7], [3]), ([9], [0, 1, 2, 3, 4])):
        mask = np.zeros((10, 5), bool)
        mask[rows, columns] = True
        box = Box(*mask_edges(mask))
        assert (paste_mask(crop_mask(mask, box), box, (10, 5)) == mask).all()


def test_a_mask_through_a_codec():
    mask = np.zeros((40, 80), bool)
    mask[8:24, 20:60] = True
    mask[8:16, 20:40] = False  # two by two cells
    coded = Mask.of(mask, QuarterCodec(), label="cat", score=0.5)
    assert coded.label == "cat" and coded.score == 0.5
    assert coded.codes[:2] != coded.codes[2:4]
    assert overlap(coded.pixels(QuarterCodec(), mask.shape), mask) > 0.95
    # The lower left corner and the right half are filled, row by row.
    filled = np.reshape(coded.codes, (4, 4)) > 64
    assert filled.tolist() == [[False] * 2 + [True] * 2] * 2 + [[True] * 4] * 2


@given(masks)
def test_rle_comes_back(mask):
    rle = mask_to_rle(mask)
    assert (rle_to_mask(rle, mask.shape) == mask).all()
    runs = np.flatnonzero(np.diff(mask.reshape(-1, order="F"))) + 1
    counts = np.diff([0, *runs, mask.size]).tolist()
    counts = [0, *counts] if mask.flat[0] else counts
    uncompressed = {"size": list(mask.shape), "counts": counts}
    assert (rle_to_mask(uncompressed) == mask).all()


def test_a_long_rle_is_read_as_pycocotools_reads_it():
    from pycocotools import mask as tools

    rng = np.random.default_rng(0)
    for shape in ((480, 640), (37, 1)):
        mask = ellipse(*shape) ^ (rng.random(shape) < 0.01)
        rle = mask_to_rle(mask)
        decoded = tools.decode({**rle, "counts": rle["counts"].encode()})
        assert (rle_to_mask(rle) == decoded).all()


@settings(deadline=None)
@given(masks)
def test_polygons_come_back(mask):
    ndimage = pytest.importorskip("scipy.ndimage")
    # Parts are joined along sides, so what is open at a corner is no hole.
    filled = ndimage.binary_fill_holes(mask, structure=np.ones((3, 3)))
    polygons = mask_to_polygons(mask)
    assert (polygons_to_mask(polygons, mask.shape) == filled).all()
    assert len(polygons) == ndimage.label(filled)[1]


def test_a_polygon_on_literals():
    mask = polygons_to_mask([[1, 1, 3, 1, 3, 2, 1, 2]], (3, 4))
    assert mask.astype(int).tolist() == [[0] * 4, [0, 1, 1, 0], [0] * 4]
    assert mask_to_polygons(mask) == [[1, 1, 3, 1, 3, 2, 1, 2]]
    assert mask_to_polygons(np.zeros((3, 3))) == []


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mask_edges(np.zeros((3, 4))), "empty mask"),
        (lambda: crop_mask(np.zeros((3, 4, 1)), Box(0, 0, 1, 1)), "shape="),
        (lambda: polygons_to_mask([[1, 1, 2, 2]], (4, 4)), "4 numbers"),
        (lambda: rle_to_mask({"size": [2, 2]}), "counts"),
        (lambda: rle_to_mask({"size": [2, 2], "counts": [3]}), "sum of 3"),
        (lambda: rle_to_mask({"size": [2, 2], "counts": [-1, 5]}), "sum"),
        (lambda: rle_to_mask({"size": [2, 2], "counts": "\x01"}), "'0'"),
        (lambda: rle_to_mask({"size": [2, 2], "counts": "é"}), "'0'|sum"),
        (lambda: rle_to_mask({"size": [2, 2], "counts": "o"}), "inside"),
        (
            lambda: rle_to_mask({"size": [2, 2], "counts": [4]}, (2, 3)),
            "image_size=",
        ),
        (lambda: Mask(Box(0, 0, 1, 1), range(15)), "15 codes"),
        (lambda: Mask(Box(0, 0, 1, 1), [128] * 16), "0..127"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
