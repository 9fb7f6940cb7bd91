"""Draws the boxes and masks of a text onto its image."""

import functools
import importlib.util
import os
import re

import numpy as np
from PIL import Image
from PIL import ImageColor
from PIL import ImageDraw
from PIL import ImageFont

from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import paste_mask

# The share of a mask's colour in the pixels that it covers.
MASK_OPACITY = 0.45
_ALL_CODES = re.compile(r"(?:<seg\d{3}> *){16}")


def draw_objects(image, text, colour, decode_masks=None, font_size=16):
    """Draws each box of a text, its label on it, and its mask.

    Nothing is drawn for a text without location tokens.

    Example:

    ```python
    text = "<loc0100><loc0100><loc0900><loc0600> cat"
    draw_objects(image, text, "red").save("cat.png")
    ```

    Args:
        image: `PIL.Image` of mode RGB; not changed.
        text: string. A prompt, an expected or a predicted text.
        colour: string or tuple. As Pillow takes it.
        decode_masks: callable or `None`. Of codes `[n, 16]`, which returns
            masks of the boxes `[n, 64, 64]` in 0..1. Without it, masks are
            left out.
        font_size: int. Of the labels, in pixels.

    Returns:
        A new `PIL.Image`.
    """
    image = image.copy()
    colour = _as_rgb(colour)
    if decode_masks is not None and _ALL_CODES.search(text):
        masks = TASKS["segment"].parse(text).masks
        image = _blend(image, masks, colour, decode_masks)
    draw = ImageDraw.Draw(image)
    font = load_font(font_size)
    line = max(2, font_size // 8)
    size = (image.height, image.width)
    boxes = TASKS["detect"].parse(text).boxes
    for box in boxes:
        top, left, bottom, right = box.pixels(size)
        draw.rectangle(
            (left, top, right - 1, bottom - 1), outline=colour, width=line
        )
    # Over all boxes, so that none crosses out a label.
    for box in boxes:
        if box.label:
            top, left, _, _ = box.pixels(size)
            _draw_label(draw, box.label, (left, top), image.size, colour, font)
    return image


def load_font(size):
    """A font of a size in pixels, which has most of Europe's letters.

    Pillow's own has Latin letters only.
    """
    path = _dejavu()
    if path is None:
        return ImageFont.load_default(size)
    # Basic: what else there is depends on the machine.
    layout = ImageFont.Layout.BASIC
    return ImageFont.truetype(path, size, layout_engine=layout)


@functools.cache
def _dejavu():
    found = importlib.util.find_spec("matplotlib")
    if found is None:
        return None
    path = os.path.join(
        found.submodule_search_locations[0],
        "mpl-data/fonts/ttf/DejaVuSans.ttf",
    )
    return path if os.path.exists(path) else None


def _blend(image, masks, colour, decode_masks):
    if not masks:
        return image
    crops = decode_masks(np.array([mask.codes for mask in masks]))
    pixels = np.asarray(image).astype("float32")
    for mask, crop in zip(masks, np.asarray(crops), strict=True):
        inside = paste_mask(crop, mask.box, pixels.shape[:2])
        pixels[inside] *= 1 - MASK_OPACITY
        pixels[inside] += MASK_OPACITY * np.array(colour, "float32")
    return Image.fromarray(np.round(pixels).astype("uint8"))


def _draw_label(draw, label, corner, image_size, colour, font):
    """A label on a patch of colour, wholly inside the image if it fits."""
    left, top, right, bottom = draw.textbbox((0, 0), label, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(corner[0], image_size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    y = max(0, min(y, image_size[1] - height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    ink = "black" if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else "white"
    draw.text((x + 2 - left, y + 2 - top), label, fill=ink, font=font)


def _as_rgb(colour):
    """A colour's name as its red, green and blue."""
    if isinstance(colour, str):
        return ImageColor.getrgb(colour)[:3]
    return tuple(colour)
