"""Pictures of predictions: boxes, masks, texts, sheets, files."""

import numpy as np
import pytest
from PIL import Image

from keras_paligemma.evaluation import contact_sheet
from keras_paligemma.evaluation import draw_objects
from keras_paligemma.evaluation import prediction_picture
from keras_paligemma.evaluation import save_picture
from keras_paligemma.evaluation.object_drawing import load_font
from keras_paligemma.evaluation.prediction_pictures import EXPECTED_COLOUR
from keras_paligemma.evaluation.prediction_pictures import PREDICTED_COLOUR
from keras_paligemma.evaluation.prediction_pictures import PROMPT_COLOUR
from keras_paligemma.evaluation.prediction_pictures import wrapped

GREY = (128, 128, 128)
RED = (255, 0, 0)
# A quarter of the width from each side, the whole height.
BOX = "<loc0000><loc0256><loc1023><loc0767>"


def grey(width, height):
    return Image.new("RGB", (width, height), GREY)


def painted(image, colour):
    """Where an image has a colour: its rows and its columns."""
    return np.nonzero((np.asarray(image) == colour).all(axis=-1))


def has(image, colour):
    return painted(image, colour)[0].size > 0


def test_a_box_lies_where_its_tokens_say():
    image = grey(400, 200)
    drawn = draw_objects(image, BOX, RED)
    rows, columns = painted(drawn, RED)
    assert (rows.min(), rows.max()) == (0, 199)
    assert (columns.min(), columns.max()) == (100, 299)
    # An outline, and the image itself is not touched.
    assert drawn.getpixel((200, 100)) == GREY
    assert not has(image, RED)


@pytest.mark.parametrize("text", ["a cat", "", "<loc0001> cat", "<loc9999>"])
def test_text_without_boxes_draws_nothing(text):
    assert not has(draw_objects(grey(40, 20), text, RED), RED)


@pytest.mark.parametrize("size", [(400, 300), (60, 40), (30, 200)])
def test_a_label_lies_inside(size):
    # A box at the right edge whose label must move to the left.
    text = "<loc0900><loc1000><loc1023><loc1023> cat"
    rows, columns = painted(draw_objects(grey(*size), text, RED), RED)
    label = load_font(16).getbbox("cat")
    expected = min(size[0], label[2] - label[0] + 4)
    assert columns.max() - columns.min() + 1 >= expected
    assert columns.max() == size[0] - 1


def test_a_mask_tints_its_pixels():
    codes = "".join(f"<seg{code:03d}>" for code in range(16))
    seen = []

    def decode(codes):
        seen.append(codes.tolist())
        masks = np.zeros((len(codes), 64, 64), "float32")
        masks[:, :, :32] = 1
        return masks

    drawn = draw_objects(grey(400, 200), f"{BOX}{codes} cat", RED, decode)
    assert seen == [[list(range(16))]]
    tint = drawn.getpixel((150, 120))
    assert tint[0] > GREY[0] and tint[1] < GREY[1]
    assert drawn.getpixel((250, 120)) == GREY
    # Without a decoder, the box alone.
    plain = draw_objects(grey(400, 200), f"{BOX}{codes} cat", RED)
    assert plain.getpixel((150, 120)) == GREY and has(plain, RED)


@pytest.mark.parametrize("size", [(7, 5), (2000, 10), (10, 2000), (640, 480)])
def test_pictures_have_one_width_whatever_the_image(size):
    picture = prediction_picture(grey(*size), "caption en", "a cat", "a dog")
    assert picture.width == 320
    for colour in (PROMPT_COLOUR, EXPECTED_COLOUR, PREDICTED_COLOUR):
        assert has(picture, colour)


def test_what_is_not_known_is_not_written():
    picture = prediction_picture(grey(80, 60), "caption en", None, "a dog")
    assert has(picture, PREDICTED_COLOUR)
    assert not has(picture, EXPECTED_COLOUR)


def test_boxes_have_the_colour_of_their_text():
    other = "<loc0500><loc0500><loc0600><loc0600> dog"
    picture = prediction_picture(grey(80, 60), "detect cat", BOX, other)
    image = picture.crop((0, 0, 320, 240))
    assert has(image, EXPECTED_COLOUR) and has(image, PREDICTED_COLOUR)
    assert not has(image, PROMPT_COLOUR)


def test_several_images_share_the_width(tmp_path):
    path = tmp_path / "image.png"
    Image.new("RGB", (20, 20), RED).save(path)
    green = np.full((20, 20, 3), (0, 255, 0), "uint8")
    picture = prediction_picture([path, green], "caption en", None, "a")
    assert picture.getpixel((80, 80)) == RED
    assert picture.getpixel((240, 80)) == (0, 255, 0)


def test_lines_are_as_wide_as_they_may_be():
    font = load_font(15)
    text = "one two three four five six seven eight nine ten"
    lines = wrapped(text, font, 100, max_lines=9)
    assert " ".join(lines) == text and len(lines) > 2
    assert all(font.getlength(line) <= 100 for line in lines)
    tokens = wrapped(BOX * 9, font, 170)
    assert all(line.endswith(">") for line in tokens[:-1])
    assert len(tokens) == 4 and tokens[-1].endswith("…")
    # A single letter is wider than the line.
    assert wrapped("abc", font, 1, max_lines=9) == ["a", "b", "c"]
    assert wrapped("", font, 100) == [""]


def test_a_sheet_holds_all_pictures():
    colours = [(10 * i, 0, 200) for i in range(5)]
    pictures = [
        Image.new("RGB", (30 + i, 20 + i), colour)
        for i, colour in enumerate(colours)
    ]
    sheet = contact_sheet(pictures)
    for picture, colour in zip(pictures, colours, strict=True):
        assert len(painted(sheet, colour)[0]) == picture.width * picture.height
    assert sheet.width > sheet.height
    assert contact_sheet(pictures, columns=1).width == 34 + 2 * 8
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "sheet.png"
    save_picture(grey(8, 8), path)

    class Broken:
        def save(self, path, format):
            path.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_picture(Broken(), path)
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]
    with Image.open(path) as image:
        assert image.size == (8, 8)
