"""Random changes of an image: resize method, JPEG, a very slight crop."""

import io
import math

from PIL import Image

_METHODS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
    Image.Resampling.HAMMING,
)
# Pillow's `resize` always smooths first; `transform` only samples.
_SAMPLING_METHODS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


def resize_randomly(image, rng, size):
    """Resizes an image to a square by a random method.

    Published are five methods, each with and without antialiasing; of these
    Pillow has four with it (area, bilinear, bicubic, Lanczos; Hamming takes
    the place of Mitchell) and two without.

    Args:
        image: `PIL.Image`.
        rng: `numpy.random.Generator`.
        size: int. Pixels on a side.

    Returns:
        `PIL.Image`.

    Example:

    ```python
    resize_randomly(image, np.random.default_rng(0), 224).size  # (224, 224)
    ```
    """
    choice = int(rng.integers(len(_METHODS) + len(_SAMPLING_METHODS)))
    if choice < len(_METHODS):
        return image.resize((size, size), _METHODS[choice])
    scale = (image.width / size, 0, 0, 0, image.height / size, 0)
    return image.transform(
        (size, size),
        Image.Transform.AFFINE,
        scale,
        resample=_SAMPLING_METHODS[choice - len(_METHODS)],
    )


def encode_jpeg_randomly(image, rng, quality=(75, 95)):
    """Encodes an image as JPEG and decodes it again.

    Args:
        image: `PIL.Image` of mode RGB or L.
        rng: `numpy.random.Generator`.
        quality: pair of int. The lowest and the highest, both included.

    Returns:
        `PIL.Image`.
    """
    lowest, highest = quality
    data = io.BytesIO()
    chosen = int(rng.integers(lowest, highest + 1))
    image.save(data, "JPEG", quality=chosen)
    data.seek(0)
    with Image.open(data) as decoded:
        decoded.load()
        return decoded.copy()


def draw_crop(rng, area_min=0.95):
    """Draws a crop that keeps nearly all of an image.

    Args:
        rng: `numpy.random.Generator`.
        area_min: float in (0, 1]. The least part of the area that is kept.

    Returns:
        tuple of float `(ymin, xmin, ymax, xmax)`, fractions of the image.

    Raises:
        ValueError: If `area_min` is not in (0, 1].

    Example:

    ```python
    draw_crop(np.random.default_rng(0))  # (0.01, 0.02, 0.99, 1.0), say
    ```
    """
    if not 0 < area_min <= 1:
        raise ValueError(
            "`area_min` must be more than 0 and at most 1. Received: "
            f"area_min={area_min!r}"
        )
    area = float(rng.uniform(area_min, 1.0))
    # Height times width is the area, and neither is larger than the image.
    height = math.exp(float(rng.uniform(math.log(area), 0.0)))
    width = area / height
    top = float(rng.uniform(0.0, 1.0 - height))
    left = float(rng.uniform(0.0, 1.0 - width))
    return top, left, top + height, left + width


def round_crop(crop, width, height):
    """Moves the edges of a crop to whole pixels of an image.

    Args:
        crop: tuple of float `(ymin, xmin, ymax, xmax)`.
        width, height: int. Of the image.

    Returns:
        tuple of int `(top, left, bottom, right)`, one pixel at least.
    """
    ymin, xmin, ymax, xmax = crop
    top = min(round(ymin * height), height - 1)
    left = min(round(xmin * width), width - 1)
    bottom = max(round(ymax * height), top + 1)
    right = max(round(xmax * width), left + 1)
    return top, left, bottom, right
