"""A mask of a whole image <-> the crop of its box that is coded in tokens."""

import numpy as np
from PIL import Image

CROP_SIZE = 64


def crop_mask(mask, box):
    """Cuts a box out of a mask and resizes it to 64 by 64.

    The box is rounded to whole pixels, at least one; the resizing is bilinear
    with antialiasing, as in big_vision.

    Args:
        mask: array-like `[height, width]`, bool or floats in 0..1.
        box: `Box`.

    Returns:
        float32 array `[64, 64]` in 0..1.

    Raises:
        ValueError: If the mask has not two axes, or no pixels.

    Example:

    ```python
    crop = crop_mask(mask, mask_box(mask))
    codes = codec.encode(crop[None])[0]
    ```
    """
    mask = _check_mask(mask)
    top, left, bottom, right = box.pixels(mask.shape)
    part = mask[top:bottom, left:right].astype("float32")
    return _resize(part, (CROP_SIZE, CROP_SIZE))


def paste_mask(crop, box, image_size):
    """Puts a crop back at its place in a mask of the whole image.

    Args:
        crop: array-like `[rows, columns]` in 0..1, usually 64 by 64.
        box: `Box`.
        image_size: tuple of int. Height and width of the image.

    Returns:
        bool array `[height, width]`, true where the resized crop is above
        0.5.
    """
    crop = _check_mask(crop).astype("float32")
    top, left, bottom, right = box.pixels(image_size)
    mask = np.zeros(image_size, bool)
    part = _resize(crop, (bottom - top, right - left))
    mask[top:bottom, left:right] = part > 0.5
    return mask


def mask_edges(mask):
    """The normalised edges of the smallest box around a mask.

    Args:
        mask: array-like `[height, width]`. Nonzero is mask.

    Returns:
        A tuple of float `(ymin, xmin, ymax, xmax)`.

    Raises:
        ValueError: If nothing is set in the mask.

    Example:

    ```python
    box = Box(*mask_edges(mask), label="cat")
    ```
    """
    mask = _check_mask(mask) != 0
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError(
            "A mask must have at least one pixel set to have a box. "
            f"Received: an empty mask of shape {mask.shape}"
        )
    height, width = mask.shape
    return (
        float(rows[0] / height),
        float(columns[0] / width),
        float((rows[-1] + 1) / height),
        float((columns[-1] + 1) / width),
    )


def _resize(values, size):
    """Resizes floats; Pillow's bilinear filter is the antialiased one."""
    image = Image.fromarray(np.ascontiguousarray(values, "float32"))
    image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def _check_mask(mask):
    mask = np.asarray(mask)
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(
            "A mask must have the shape [height, width], neither of them 0. "
            f"Received: shape={mask.shape}"
        )
    return mask
