"""Any image that a user gives, as an array of red, green and blue."""

import os
import re

import keras
import numpy as np
from PIL import Image
from PIL import ImageOps
from PIL import UnidentifiedImageError

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_SIXTEEN_TO_EIGHT_BITS = 257  # 65535 / 255
# Filters may overshoot by a fraction of a grey level; an array in [-1, 1]
# overshoots by one.
_RANGE_TOLERANCE = 0.5
# One slash is enough: `pathlib.Path` has removed the other one.
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/|data:", re.IGNORECASE)


def load_image(image):
    """Reads an image into an array of red, green and blue.

    What `PIL.Image.convert("RGB")` gives is what comes out: grey is copied to
    the three channels, a palette is looked up, CMYK is converted, and an
    alpha channel is dropped (transparent pixels show the colour stored under
    them). Two things that it does not do are done before: the EXIF
    orientation of a file or a `PIL.Image` is applied, and 16-bit grey is
    scaled to 8 bits.

    Args:
        image: A path (str, bytes or `pathlib.Path`), a `PIL.Image`, or an
            array or tensor with values in 0..255, of the shape
            `[height, width]` or `[height, width, channels]` with 1 (grey),
            3 (RGB) or 4 (RGBA) channels.

    Returns:
        An array `[height, width, 3]` with values in 0..255: uint8 for files,
        `PIL.Image`s and uint8 arrays, else float32.

    Raises:
        FileNotFoundError: If there is no file of that name.
        ValueError: If the file is no image or is truncated, if it is a URL,
            or if an array has another shape or other values.

    Example:

    ```python
    load_image(np.zeros((60, 80), "uint8")).shape  # (60, 80, 3)
    load_image("photograph.jpg").dtype  # uint8
    ```
    """
    if isinstance(image, Image.Image):
        return _read_pixels(image, "a PIL.Image")
    if is_path(image):
        return _load_file(image)
    if not is_array(image):
        raise ValueError(
            "An image must be a path, a `PIL.Image` or an array of values in "
            f"0..255. Received: type(image)={type(image).__name__}"
        )
    return _canonicalize_array(to_numpy(image))


def is_path(value):
    """Whether a value is a path, or an array or tensor that holds one."""
    if isinstance(value, (str, bytes, os.PathLike)):
        return True
    if not is_array(value) or len(value.shape) > 0:
        return False
    return to_numpy(value).dtype.kind in "SUO"


def is_array(value):
    """Whether a value is a NumPy array or a tensor of any framework."""
    return isinstance(value, np.ndarray) or (
        hasattr(value, "__array__")
        and hasattr(value, "shape")
        and not isinstance(value, Image.Image)
    )


def to_numpy(value):
    """Turns an array or a tensor of any framework into a NumPy array."""
    if isinstance(value, np.ndarray):
        return value
    # The backend knows its own tensors best (device, gradient, bfloat16).
    if keras.ops.is_tensor(value):
        return np.asarray(keras.ops.convert_to_numpy(value))
    return np.asarray(value)


def _load_file(path):
    name = _decode_path(path)
    if not os.path.exists(name):
        if _URL.match(name):
            raise ValueError(
                "An image must be a local path; this package does not "
                f"download. Received: {name[:200]!r}. Download the file first."
            )
        raise FileNotFoundError(f"There is no image file at {name!r}.")
    try:
        with Image.open(name) as image:
            return _read_pixels(image, f"the file {name!r}")
    except UnidentifiedImageError as error:
        raise ValueError(
            f"The file {name!r} is not an image in a format that Pillow reads."
        ) from error
    except IsADirectoryError as error:
        raise ValueError(
            f"An image must be a file. Received the folder {name!r}."
        ) from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"The image in the file {name!r} is too large: {error}"
        ) from error


def _decode_path(path):
    if is_array(path):
        path = to_numpy(path).item()
    if isinstance(path, bytes):
        try:
            path = path.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                "A bytes value given as an image must be a path. Received: "
                f"{len(path)} bytes that are no UTF-8 text. Open an encoded "
                "image with `PIL.Image.open(io.BytesIO(data))`."
            ) from error
    return os.fspath(path)


def _read_pixels(image, name):
    """Decodes and converts a `PIL.Image` to uint8 `[height, width, 3]`."""
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(
            f"The image in {name} is truncated or broken: {error}"
        ) from error
    if image.mode in _SIXTEEN_BIT_MODES:
        grey = np.asarray(image).astype("int64")
        _check_range(grey, 0, 65535, name)
        return _grey_to_rgb(
            np.round(grey / _SIXTEEN_TO_EIGHT_BITS).astype("uint8")
        )
    if image.mode == "F":
        return _canonicalize_array(np.asarray(image))
    if image.mode in ("P", "PA"):
        # Straight to RGB warns when the palette has transparent entries.
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _canonicalize_array(array):
    shape = array.shape
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in shape:
        raise ValueError(
            "An image array must have the shape [height, width, 3], "
            "[height, width], [height, width, 1] or [height, width, 4]. "
            f"Received: shape={shape}"
        )
    if array.dtype != np.uint8:
        if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
            raise ValueError(
                "An image array must hold numbers in 0..255. Received: "
                f"dtype={array.dtype}"
            )
        array = array.astype("float32")
        _check_range(array, 0, 255, "an array")
    if array.shape[-1] == 1:
        return _grey_to_rgb(array[..., 0])
    return array[..., :3]


def _check_range(array, low, high, name):
    minimum, maximum = float(array.min()), float(array.max())
    # Written so that a NaN fails.
    if not (
        minimum >= low - _RANGE_TOLERANCE and maximum <= high + _RANGE_TOLERANCE
    ):
        raise ValueError(
            f"The values of an image must be in {low}..{high}. Received: "
            f"{name} with values from {minimum:g} to {maximum:g}. Scale it "
            "first; images in [-1, 1] are for a preprocessor with "
            "`image_converter=None`."
        )


def _grey_to_rgb(grey):
    return np.repeat(grey[..., np.newaxis], 3, axis=-1)
