"""Perceptual hashes of images: signs of their low frequencies.

All hashes of an image come from one 64 x 64 picture of its luminance. A
cosine transform of any interval of rows and columns of it is a product with
two small matrices, so hashes of crops and of regions cost no further resizing,
and the hash of the mirrored image is the same one with known bits turned.

The sign of a frequency that is hardly there comes from noise, or from how the
image was once enlarged. So soft pictures, whose high frequencies are such, have
no hash that counts; they are known by how strong their low ones are.
"""

import dataclasses

import numpy as np
from PIL import Image

from keras_paligemma.data.deduplication.embeddings import unit_length
from keras_paligemma.data.image_decoding import to_rgb

SIDE = 64
_WHOLE_FREQUENCIES = 16
_REGION_FREQUENCIES = 8
_GRID = 3
# Intervals of rows, and of columns, that the hashes of crops look at: all of
# it, or 95 % of it at the beginning, in the middle, or at the end.
_CROPPED = 0.05 * SIDE
_CROPS = (
    (0, SIDE),
    (0, SIDE - _CROPPED),
    (_CROPPED / 2, SIDE - _CROPPED / 2),
    (_CROPPED, SIDE),
)
# Below this standard deviation, in levels of 0..255, an image is even.
_LEAST_DEVIATION = 1.0
# A frequency counts from here on: what JPEG alters is half as strong. Of how
# many it takes to make a hash, so that those of noise stay below the limits.
_LEAST_STRENGTH = 4.0
_LEAST_OF_WHOLE = 120
_LEAST_OF_REGION = 32
_LOWEST = 8

NUM_LOWEST = _LOWEST**2 - 1

NUM_CROPS = len(_CROPS) ** 2
NUM_REGIONS = _GRID**2


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """Hashes of `num_images` images.

    Args:
        whole: uint8 array `[num_images, 16, 32]`. Hashes of 256 bits of the
            whole image (the first) and of 15 slight crops of it.
        regions: uint8 array `[num_images, 9, 8]`. Hashes of 64 bits of the
            regions of a 3 x 3 grid, in raster order.
        textured: bool array `[num_images, 10]`. Whether there is enough
            detail in the whole image, and in each region; the hash of an even
            or a soft one says nothing.
        lowest: float32 array `[num_images, 63]`. The lowest frequencies of
            the whole image but its mean, scaled to length one; zeros for an
            even image.
    """

    whole: np.ndarray
    regions: np.ndarray
    textured: np.ndarray
    lowest: np.ndarray

    def __len__(self):
        return len(self.whole)

    def __getitem__(self, rows):
        """The fingerprints of some of the images: a slice or an array."""
        return Fingerprints(
            self.whole[rows],
            self.regions[rows],
            self.textured[rows],
            self.lowest[rows],
        )

    def mirrored(self):
        """The fingerprints of the same images, left and right exchanged."""
        raster = np.arange(NUM_REGIONS).reshape(_GRID, _GRID)[:, ::-1].ravel()
        crops = np.arange(NUM_CROPS).reshape(len(_CROPS), len(_CROPS))
        # The crop at the left end becomes that at the right end.
        crops = crops[:, [0, 3, 2, 1]].ravel()
        return Fingerprints(
            self.whole[:, crops] ^ _odd_columns(_WHOLE_FREQUENCIES),
            self.regions[:, raster] ^ _odd_columns(_REGION_FREQUENCIES),
            self.textured[:, [0, *(raster + 1)]],
            self.lowest * _mirroring_signs(),
        )

    @classmethod
    def joined(cls, parts):
        """One `Fingerprints` of a list of them."""
        parts = [empty_fingerprints(), *parts]
        return cls(
            np.concatenate([part.whole for part in parts]),
            np.concatenate([part.regions for part in parts]),
            np.concatenate([part.textured for part in parts]),
            np.concatenate([part.lowest for part in parts]),
        )


def empty_fingerprints():
    """The fingerprints of no image."""
    return fingerprint_thumbnails(np.zeros((0, SIDE, SIDE), "uint8"))


def fingerprint(images):
    """Hashes images.

    Args:
        images: list of `PIL.Image`, or arrays `[height, width, 3]` in 0..255.

    Returns:
        `Fingerprints`.

    Example:

    ```python
    prints = fingerprint([image, image.resize((100, 100))])
    difference = prints.whole[0, 0] ^ prints.whole[1, 0]
    np.unpackbits(difference).sum()  # 2 of 256 bits
    ```
    """
    thumbnails = [thumbnail(image) for image in images]
    if not thumbnails:
        return empty_fingerprints()
    return fingerprint_thumbnails(np.stack(thumbnails))


def thumbnail(image):
    """The luminance of an image, squeezed into a square.

    Args:
        image: `PIL.Image`, or an array as `to_rgb` takes.

    Returns:
        uint8 array `[64, 64]`.
    """
    image = to_rgb(image).convert("L")
    return np.asarray(
        image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    )


def fingerprint_thumbnails(thumbnails):
    """Hashes what `thumbnail` returns, stacked: uint8 `[n, 64, 64]`."""
    pixels = thumbnails.astype("float32")
    whole = _transform(pixels, _CROPS, _WHOLE_FREQUENCIES)
    thirds = np.linspace(0, SIDE, _GRID + 1)
    regions = _transform(
        pixels,
        list(zip(thirds[:-1], thirds[1:], strict=True)),
        _REGION_FREQUENCIES,
    )
    textured = [
        _textured(whole[:, :1], _LEAST_OF_WHOLE),
        _textured(regions, _LEAST_OF_REGION),
    ]
    return Fingerprints(
        np.packbits(whole > 0, axis=-1),
        np.packbits(regions > 0, axis=-1),
        np.concatenate(textured, axis=1),
        _lowest(whole[:, 0]),
    )


def _transform(pixels, intervals, frequencies):
    """Cosine transforms `[n, intervals ** 2, frequencies ** 2]`."""
    matrix = np.concatenate(
        [_cosines(*interval, frequencies) for interval in intervals]
    )
    values = matrix @ pixels @ matrix.T
    count, number = len(pixels), len(intervals)
    values = values.reshape(count, number, frequencies, number, frequencies)
    values = values.transpose(0, 1, 3, 2, 4)
    return values.reshape(count, number**2, frequencies**2)


def _cosines(begin, end, frequencies):
    """A matrix `[frequencies, 64]`: stretch an interval, then transform it."""
    samples = np.arange(SIDE)
    places = (samples + 0.5) / SIDE * (end - begin) + begin - 0.5
    left = np.clip(np.floor(places).astype(int), 0, SIDE - 2)
    share = np.clip(places - left, 0, 1)
    stretch = np.zeros((SIDE, SIDE))
    stretch[samples, left] = 1 - share
    stretch[samples, left + 1] = share
    waves = np.arange(frequencies)[:, None] * (2 * samples + 1)
    basis = np.cos(np.pi * waves / (2 * SIDE)) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    return (basis @ stretch).astype("float32")


def _textured(values, least):
    strong = np.abs(values[..., 1:]) >= _LEAST_STRENGTH
    return (_deviation(values) >= _LEAST_DEVIATION) & (
        strong.sum(axis=-1) >= least
    )


def _deviation(values):
    # The basis is orthonormal: squares of all frequencies but that of the
    # mean add up to the variance of the pixels.
    return np.sqrt(np.square(values[..., 1:]).sum(axis=-1)) / SIDE


def _lowest(values):
    count = len(values)
    square = values.reshape(count, _WHOLE_FREQUENCIES, _WHOLE_FREQUENCIES)
    lowest = square[:, :_LOWEST, :_LOWEST].reshape(count, _LOWEST**2)[:, 1:]
    even = _deviation(values) < _LEAST_DEVIATION
    return np.where(even[:, None], 0, unit_length(lowest))


def _mirroring_signs():
    """1 for an even and -1 for an odd frequency along the columns."""
    signs = np.ones((_LOWEST, _LOWEST), "float32")
    signs[:, 1::2] = -1
    return signs.ravel()[1:]


def _odd_columns(frequencies):
    """The bits that mirroring turns: odd frequencies along the columns."""
    mask = np.zeros((frequencies, frequencies), bool)
    mask[:, 1::2] = True
    return np.packbits(mask.ravel())
