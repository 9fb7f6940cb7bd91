"""Decodes whatever a record holds as an image."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image
from PIL import ImageOps

# Broken files make Pillow's decoders raise nearly anything.
_UNREADABLE = (
    OSError,
    SyntaxError,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    struct.error,
    zlib.error,
)


class UnreadableImageError(ValueError):
    """An image that is missing, truncated, or none at all."""


def decode_images(images, location=None):
    """Decodes the images of a record.

    Args:
        images: sequence of what `decode_image` takes, or of callables that
            return a list of it: the frames of a video.
        location: str or `None`. Where the record stands, for errors.

    Returns:
        tuple of `PIL.Image` or array.

    Raises:
        UnreadableImageError: (a `ValueError`) If one cannot be read.
    """
    result = []
    for image in images:
        name = _describe(image)
        try:
            if callable(image):
                image = image()
        except _UNREADABLE as error:
            raise _unreadable(name, location, error) from error
        several = isinstance(image, (list, tuple))
        for item in image if several else [image]:
            result.append(decode_image(item, location, name))
    return tuple(result)


def decode_image(image, location=None, name=None):
    """Decodes an image of a record.

    Args:
        image: A path, the bytes of an image file, a `PIL.Image`, an array
            `[height, width, 3]` in 0..255.
        location: str or `None`. Where the record stands, for errors.
        name: str or `None`. What errors call the image.

    Returns:
        A `PIL.Image` that is decoded and turned as its EXIF orientation says,
        or the array.

    Raises:
        UnreadableImageError: (a `ValueError`) If there is no such file, or if
            it is no image or a truncated one.

    Example:

    ```python
    decode_image("photograph.jpg").size  # (640, 480)
    ```
    """
    name = name or _describe(image)
    try:
        if isinstance(image, (bytes, bytearray)):
            image = io.BytesIO(image)
        if isinstance(image, (str, os.PathLike, io.BytesIO)):
            with Image.open(image) as opened:
                opened.load()
                return ImageOps.exif_transpose(opened)
        if isinstance(image, Image.Image):
            image.load()
            return ImageOps.exif_transpose(image)
        array = np.asarray(image)
    except (*_UNREADABLE, Image.DecompressionBombError) as error:
        raise _unreadable(name, location, error) from error
    channels = array.shape[-1] if array.ndim == 3 else 1
    wrong = array.ndim not in (2, 3) or array.dtype.kind not in "uif"
    if wrong or not array.size or channels > 4:
        raise _unreadable(
            name,
            location,
            "an image must be a path, the bytes of an image file, a "
            "`PIL.Image` or an array [height, width, 3]; received "
            f"{type(image).__name__} of shape {array.shape}",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _unreadable(name, location, "it has values that are not finite")
    return array


def to_rgb(image):
    """A decoded image as a `PIL.Image` of mode RGB.

    Args:
        image: `PIL.Image`, or array `[height, width]` or `[height, width,
            channels]` with values in 0..255.

    Returns:
        `PIL.Image` of 8 bits a channel.
    """
    if not isinstance(image, Image.Image):
        array = np.clip(np.round(np.asarray(image)), 0, 255).astype("uint8")
        if array.ndim == 3 and array.shape[-1] == 1:
            array = array[..., 0]
        image = Image.fromarray(array)
    if image.mode.startswith("I"):  # 16-bit grey
        grey = np.asarray(image).astype("float64") / 257
        image = Image.fromarray(np.round(grey).astype("uint8"))
    if image.mode in ("P", "PA"):
        # Straight to RGB warns when the palette has transparent entries.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _unreadable(name, location, error):
    place = f"{location}: " if location else ""
    return UnreadableImageError(
        f"{place}the image {name} cannot be read: {error}. Mend or remove "
        'it, or pass `on_error="skip"`.'
    )


def _describe(image):
    if isinstance(image, (str, os.PathLike)):
        return repr(os.fspath(image))
    if isinstance(image, (bytes, bytearray)):
        return f"of {len(image)} bytes"
    return str(image) if callable(image) else f"({type(image).__name__})"
