"""Resizing of one image in float32, the same on every backend."""

import numpy as np
from PIL import Image

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
INTERPOLATIONS = tuple(_FILTERS)


def resize_image(image, size, interpolation="bilinear", antialias=True):
    """Resizes an image in float32, with no rounding to whole values.

    Pixel centres are at half-integers. With `antialias`, the kernel (a
    triangle, or Keys' cubic with a = -0.5) is widened by the factor of the
    reduction, as `tf.image.resize(antialias=True)` and Pillow do it; without,
    the nearest 2 (bilinear) or 4 (bicubic) pixels are weighted. A cubic
    overshoots at edges: each pass is clipped to 0..255, as resizing in 8 bits
    does.

    Args:
        image: array `[height, width, 3]`. Values in 0..255.
        size: tuple of int. The height and width wanted.
        interpolation: str. `"bilinear"` or `"bicubic"`.
        antialias: bool. Whether the kernel grows with the reduction.

    Returns:
        float32 array `[*size, 3]`.

    Example:

    ```python
    resize_image(np.array([[[0] * 3, [100] * 3]], "uint8"), (1, 1))
    # [[[50., 50., 50.]]]
    ```
    """
    image = np.asarray(image, dtype="float32")
    if image.shape[:2] == tuple(size):
        # Every kernel has its whole weight on the pixel itself.
        return _clip(image)
    if antialias:
        return _resize_with_pillow(image, size, interpolation)
    resized = _resize_axis(image, 0, size[0], interpolation)
    return _resize_axis(resized, 1, size[1], interpolation)


def _resize_with_pillow(image, size, interpolation):
    height, width = size
    resample = _FILTERS[interpolation]
    output = np.empty((height, width, 3), dtype="float32")
    for channel in range(3):
        # Mode "F": one channel of float32.
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        if interpolation == "bicubic":
            # Only to clip between the passes; a triangle cannot overshoot.
            plane = plane.resize((width, plane.height), resample)
            plane = Image.fromarray(_clip(np.asarray(plane)))
        output[..., channel] = plane.resize((width, height), resample)
    return _clip(output)


def _resize_axis(image, axis, length, interpolation):
    """Resizes one axis from the nearest pixels only."""
    indices, weights = _nearest_pixels(image.shape[axis], length, interpolation)
    pixels = np.moveaxis(image, axis, 0)
    resized = sum(
        weights[:, tap, None, None] * pixels[indices[:, tap]]
        for tap in range(indices.shape[1])
    )
    return np.ascontiguousarray(np.moveaxis(_clip(resized), 0, axis))


def _clip(values):
    return np.clip(values, 0.0, 255.0)


def _nearest_pixels(source_length, length, interpolation):
    """Returns indices and weights, `[length, taps]`, of the pixels to mix."""
    centres = (np.arange(length) + 0.5) * (source_length / length) - 0.5
    offsets = np.arange(2) if interpolation == "bilinear" else np.arange(-1, 3)
    positions = np.floor(centres)[:, None] + offsets[None, :]
    distances = np.abs(centres[:, None] - positions)
    kernel = _triangle if interpolation == "bilinear" else _cubic
    inside = (positions >= 0) & (positions < source_length)
    weights = kernel(distances) * inside
    weights = weights / weights.sum(axis=1, keepdims=True)
    indices = np.clip(positions, 0, source_length - 1).astype("int64")
    return indices, weights.astype("float32")


def _triangle(distance):
    return np.maximum(0.0, 1.0 - distance)


def _cubic(distance):
    """Keys' cubic convolution kernel with a = -0.5."""
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
