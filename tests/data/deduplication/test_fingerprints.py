"""Perceptual hashes."""

import numpy as np
import pytest
from PIL import Image
from PIL import ImageEnhance
from PIL import ImageOps

from keras_paligemma.data.deduplication import Limits
from keras_paligemma.data.deduplication import NearDuplicateIndex
from keras_paligemma.data.deduplication import fingerprint
from keras_paligemma.data.deduplication.fingerprints import Fingerprints
from tests.data.deduplication.pictures import jpeg
from tests.data.deduplication.pictures import picture


def bits_apart(a, b):
    return int(np.bitwise_count(a ^ b).sum())


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((40, 60)),
        lambda image: image.resize((300, 200)),
        lambda image: jpeg(image, 30),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    ],
    ids=["smaller", "larger", "jpeg", "darker"],
)
def test_a_changed_image_is_near_and_another_is_far(change):
    images = [picture(seed) for seed in range(8)]
    prints = fingerprint(images).whole[:, 0]
    changed = fingerprint([change(image) for image in images]).whole[:, 0]
    for i in range(8):
        assert bits_apart(prints[i], changed[i]) <= Limits().whole
        assert bits_apart(prints[i], changed[i - 1]) > 80


def test_the_hashes_of_mirrored_images_are_known_without_them():
    images = [picture(seed) for seed in range(4)]
    turned = fingerprint([ImageOps.mirror(image) for image in images])
    known = fingerprint(images).mirrored()
    # Sums of products in another order: a bit at zero may turn.
    for name in ("whole", "regions"):
        a, b = getattr(turned, name), getattr(known, name)
        assert np.bitwise_count(a ^ b).sum(axis=-1).max() <= 1
    np.testing.assert_array_equal(turned.textured, known.textured)
    np.testing.assert_allclose(turned.lowest, known.lowest, atol=0.01)


def test_mirroring_twice_changes_nothing():
    prints = fingerprint([picture(seed) for seed in range(3)])
    again = prints.mirrored().mirrored()
    for name in ("whole", "regions", "textured", "lowest"):
        np.testing.assert_array_equal(
            getattr(again, name), getattr(prints, name)
        )


def test_one_of_the_crops_is_near_where_the_whole_is_not():
    image = picture(3)
    edge = round(96 * 0.05)
    cut = fingerprint([image.crop((edge, edge, 96, 96))]).whole[0, 0]
    apart = [bits_apart(cut, code) for code in fingerprint([image]).whole[0]]
    assert min(apart[1:]) <= Limits().whole < apart[0]


@pytest.mark.parametrize(
    "mode", ["L", "P", "RGBA", "CMYK", "I;16", "LA", "1", "F"]
)
def test_other_modes_give_the_hash_of_the_rgb_image(mode):
    grey = picture(5).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype("uint16") * 257)
    else:
        image = grey.convert(mode)
    plain, other = fingerprint([grey.convert("RGB"), image]).whole[:, 0]
    most = 40 if mode == "1" else 8
    assert bits_apart(plain, other) <= most


def test_an_even_surface_has_nothing_to_recognise():
    flat = Image.new("RGB", (50, 50), (10, 200, 30))
    assert not fingerprint([flat]).textured.any()
    assert not fingerprint([flat]).lowest.any()
    assert fingerprint([picture(1)]).textured.all()


def soft_picture(seed, cells):
    """A few cells of noise, enlarged: no frequency above theirs."""
    noise = np.random.default_rng(seed).integers(0, 256, (cells, cells, 3))
    small = Image.fromarray(noise.astype("uint8"))
    return small.resize((160, 120), Image.Resampling.BICUBIC)


def wave(seed):
    """One soft wave of each colour."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :160] / 160
    down, across, begin = generator.uniform(-6, 6, (3, 3))
    places = x[..., None] * across + y[..., None] * down + begin
    pixels = 128 + 120 * np.sin(places)
    return Image.fromarray(pixels.astype("uint8"))


@pytest.mark.parametrize(
    "draw, most",
    [
        (lambda seed: soft_picture(seed, 4), 20),
        (lambda seed: soft_picture(seed, 6), 20),
        (wave, 8),
    ],
    ids=["4 cells", "6 cells", "waves"],
)
def test_soft_pictures_are_told_apart_and_known_again(draw, most):
    # The signs of frequencies that are not there come from noise, or are
    # those of the filter that enlarged: hashes of these say nothing.
    pytest.importorskip("faiss")
    pictures = [draw(seed) for seed in range(60)]
    index = NearDuplicateIndex(fingerprint(pictures))
    for change in (
        lambda image: jpeg(image, 30),
        lambda image: image.resize((50, 60)),
    ):
        found = index.search(fingerprint([change(p) for p in pictures]))
        assert sum(m.query == m.reference for m in found) >= 59
    others = [draw(seed) for seed in range(1000, 1300)]
    assert len(index.search(fingerprint(others))) <= most


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (3, 3)])
def test_tiny_images_have_a_hash(size):
    prints = fingerprint([Image.new("RGB", size, "red")])
    assert prints.whole.shape == (1, 16, 32)
    assert prints.regions.shape == (1, 9, 8)


def test_no_image_has_no_hash():
    assert len(fingerprint([])) == 0
    assert len(Fingerprints.joined([])) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"whole": 256}, {"region": -1}, {"regions": 0}, {"embedding": 1.5}],
)
def test_a_limit_out_of_range_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Received: {name}="):
        Limits(**wrong)
