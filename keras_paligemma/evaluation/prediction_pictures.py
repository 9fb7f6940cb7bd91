"""Pictures of what a model makes of images: one sheet for several."""

import math
import os
from pathlib import Path

from PIL import Image
from PIL import ImageDraw

from keras_paligemma.data.image_decoding import decode_image
from keras_paligemma.data.image_decoding import to_rgb
from keras_paligemma.evaluation.object_drawing import draw_objects
from keras_paligemma.evaluation.object_drawing import load_font

PROMPT_COLOUR = (40, 90, 200)
EXPECTED_COLOUR = (20, 130, 50)
PREDICTED_COLOUR = (205, 60, 10)
BACKGROUND = (255, 255, 255)
FONT_SIZE = 15
MARGIN = 8
# Tokens of masks are long, and nobody reads them.
MAX_LINES = 4
MAX_IMAGES = 4


def prediction_picture(
    images, prompt, expected, predicted, width=320, decode_masks=None
):
    """Draws an image over its prompt, the expected and the predicted text.

    Boxes of the prompt are blue, expected ones green, predicted ones red, as
    the texts are. Small images are enlarged, so that labels can be read.

    Example:

    ```python
    picture = prediction_picture(
        "cat.jpg", "caption en", "a cat on a mat", "a dog"
    )
    picture.save("picture.png")
    ```

    Args:
        images: path, `PIL.Image`, array in 0..255, or a list of them, of
            which the first four are drawn, and the boxes onto the first.
        prompt: string.
        expected: string or `None`.
        predicted: string.
        width: int. In pixels.
        decode_masks: As for `draw_objects`.

    Returns:
        A `PIL.Image` of mode RGB.

    Raises:
        ValueError: If an image cannot be read.
    """
    texts = [("prompt", prompt, PROMPT_COLOUR)]
    if expected is not None:
        texts.append(("expected", expected, EXPECTED_COLOUR))
    texts.append(("predicted", predicted, PREDICTED_COLOUR))
    if not isinstance(images, (list, tuple)):
        images = [images]
    shown = [
        _fitted(image, width, len(images)) for image in images[:MAX_IMAGES]
    ]
    if shown:
        for _, text, colour in texts:
            shown[0] = draw_objects(
                shown[0], text, colour, decode_masks, FONT_SIZE
            )
    top = max((image.height for image in shown), default=0)
    font = load_font(FONT_SIZE)
    lines = [
        (line, colour)
        for name, text, colour in texts
        for line in wrapped(f"{name}: {text}", font, width - 2 * MARGIN)
    ]
    step = FONT_SIZE + 4
    height = top + 2 * MARGIN + step * len(lines)
    picture = Image.new("RGB", (width, height), BACKGROUND)
    left = 0
    for image in shown:
        picture.paste(image, (left, 0))
        left += image.width
    draw = ImageDraw.Draw(picture)
    for number, (line, colour) in enumerate(lines):
        place = (MARGIN, top + MARGIN + step * number)
        draw.text(place, line, fill=colour, font=font)
    return picture


def contact_sheet(pictures, columns=None):
    """Puts pictures side by side, in rows.

    Args:
        pictures: list of `PIL.Image`.
        columns: int or `None`. Pictures a row; by default, as many as rows.

    Returns:
        A `PIL.Image` of mode RGB.

    Raises:
        ValueError: If there are no pictures.
    """
    if not pictures:
        raise ValueError("A sheet needs at least one picture. Received: none")
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    columns = min(columns, len(pictures))
    rows = [
        pictures[start : start + columns]
        for start in range(0, len(pictures), columns)
    ]
    width = max(picture.width for picture in pictures) + MARGIN
    heights = [max(picture.height for picture in row) + MARGIN for row in rows]
    size = (columns * width + MARGIN, sum(heights) + MARGIN)
    sheet = Image.new("RGB", size, (200, 200, 200))
    top = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (MARGIN + column * width, top))
        top += height
    return sheet


def save_picture(picture, path):
    """Writes a PNG file that is either whole or not there.

    Args:
        picture: `PIL.Image`.
        path: path. Its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        picture.save(temporary, format="PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def wrapped(text, font, width, max_lines=MAX_LINES):
    """Breaks a text into lines of a width in pixels.

    Between words or tokens if possible; what is too long ends in `…`.

    Args:
        text: string.
        font: font of Pillow.
        width: int. In pixels.
        max_lines: int.

    Returns:
        A list of strings, at least one.
    """
    rest = " ".join(text.split())
    lines = []
    while rest:
        end = len(rest)
        if font.getlength(rest) > width:
            end = _characters_that_fit(rest, font, width)
            # `loc` tokens follow each other without a blank.
            breaks = (rest.rfind(" ", 0, end + 1), rest.rfind("<", 0, end))
            end = max(breaks) if max(breaks) > end // 2 else end
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
        if rest and len(lines) == max_lines:
            lines[-1] = f"{lines[-1][:-1]}…"
            break
    return lines or [""]


def _characters_that_fit(text, font, width):
    """How many first characters fit, at least one."""
    few, many = 1, len(text)
    while few < many:
        middle = (few + many + 1) // 2
        if font.getlength(text[:middle]) <= width:
            few = middle
        else:
            many = middle - 1
    return few


def _fitted(image, width, count):
    """An image at its share of the width, at most as high as twice that."""
    image = to_rgb(decode_image(image))
    share = width // min(count, MAX_IMAGES)
    scale = min(share / image.width, 2 * width / image.height)
    size = (
        max(1, round(image.width * scale)),
        max(1, round(image.height * scale)),
    )
    return image.resize(size, Image.Resampling.BICUBIC)
