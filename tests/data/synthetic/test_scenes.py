"""Masks, boxes and words of scenes, against what is drawn alone."""

import numpy as np
import pytest

from keras_paligemma.data.synthetic import COLOURS
from keras_paligemma.data.synthetic import KINDS
from keras_paligemma.data.synthetic import SCRIPTS
from keras_paligemma.data.synthetic import PlacedWord
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic.colours import nearest_colour
from keras_paligemma.data.synthetic.composer import LEAST_AREA
from keras_paligemma.data.synthetic.composer import LEAST_VISIBLE
from keras_paligemma.data.synthetic.fonts import faces_of
from keras_paligemma.data.synthetic.fonts import load_font
from keras_paligemma.data.synthetic.scene import box_of
from keras_paligemma.data.synthetic.scene import raster_lines
from keras_paligemma.data.synthetic.sprites import draw_edge
from keras_paligemma.data.synthetic.sprites import draw_silhouette
from keras_paligemma.data.synthetic.words import WORDS

COUNT = 150


@pytest.fixture(scope="module")
def scenes():
    world = SyntheticWorld(image_size=112, seed=3)
    return [world[index] for index in range(COUNT)]


@pytest.fixture(scope="module")
def word_scenes():
    world = SyntheticWorld(image_size=112, seed=3)
    return [world.scene(index, "words") for index in range(COUNT)]


def drawn_alone(thing, size):
    """The silhouette of an object at its place, with nothing in front."""
    coverage, _ = draw_silhouette(
        thing.kind, thing.radius, thing.rotation, thing.mirrored
    )
    canvas = np.zeros((3 * size, 3 * size), bool)
    row, column = thing.corner[0] + size, thing.corner[1] + size
    side = coverage.shape[0]
    canvas[row : row + side, column : column + side] = coverage >= 128
    return canvas[size:-size, size:-size], np.count_nonzero(canvas)


def test_a_mask_is_the_object_less_what_stands_in_front(scenes):
    overlapping = 0
    for scene in scenes:
        size = scene.image.shape[0]
        in_front = np.zeros((size, size), bool)
        nearest_first = sorted(scene.objects, key=lambda o: -o.depth)
        for thing in nearest_first:
            alone, total = drawn_alone(thing, size)
            np.testing.assert_array_equal(thing.mask, alone & ~in_front)
            assert thing.visible == np.count_nonzero(thing.mask) / total
            overlapping += bool((alone & in_front).any())
            in_front |= alone
    assert overlapping > 30


def test_boxes_are_tight_to_the_masks(scenes):
    for scene in scenes:
        size = scene.image.shape[0]
        for thing in scene.objects:
            assert thing.box == box_of(thing.mask)
            ymin, xmin, ymax, xmax = (round(size * e) for e in thing.box)
            inside = thing.mask[ymin:ymax, xmin:xmax]
            assert np.count_nonzero(inside) == thing.area
            assert inside[0].any() and inside[-1].any()
            assert inside[:, 0].any() and inside[:, -1].any()


def test_every_object_can_be_seen(scenes):
    for scene in scenes:
        assert 1 <= len(scene.objects) <= 7
        areas = [thing.area for thing in scene.objects]
        assert areas == sorted(areas, reverse=True)
        for thing in scene.objects:
            assert thing.visible >= LEAST_VISIBLE
            assert thing.area >= LEAST_AREA * scene.image[..., 0].size


def test_pixels_have_the_colour_that_the_truth_names(scenes):
    right = total = 0
    for scene in scenes:
        for thing in scene.objects:
            # Away from outlines; the median leaves details out.
            solid = 1 - draw_edge(thing.mask.astype(np.uint8) * 255, 3) > 0.5
            inside = scene.image[solid & thing.mask]
            if len(inside) < 20:
                continue
            total += 1
            right += nearest_colour(np.median(inside, 0)) == thing.colour
    assert total > 200
    assert right / total > 0.95


def test_all_kinds_and_colours_come(scenes):
    things = [thing for scene in scenes for thing in scene.objects]
    assert len(KINDS) >= 20 and {thing.kind for thing in things} == set(KINDS)
    assert len(COLOURS) >= 10
    assert {thing.colour for thing in things} == set(COLOURS)
    assert len({scene.background for scene in scenes}) == 8
    widths = [thing.box[3] - thing.box[1] for thing in things]
    assert min(widths) < 0.15 and max(widths) > 0.5


def test_silhouettes_differ_by_kind():
    drawn = [draw_silhouette(kind, 30.0)[0] >= 128 for kind in KINDS]
    for index, first in enumerate(drawn):
        for second in drawn[:index]:
            union = np.count_nonzero(first | second)
            assert np.count_nonzero(first & second) / union < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_silhouette_turned_over_is_the_mirrored_one(kind):
    plain, _ = draw_silhouette(kind, 20.0)
    mirrored, _ = draw_silhouette(kind, 20.0, mirrored=True)
    different = np.abs(plain[:, ::-1].astype(int) - mirrored.astype(int))
    assert different.mean() < 12.0


def test_words_stand_in_raster_order_clear_of_each_other(word_scenes):
    scripts = set()
    for scene in word_scenes:
        assert scene.words
        covered = np.zeros(scene.image.shape[:2], int)
        for thing in scene.objects:
            covered += thing.mask
        for word in scene.words:
            ymin, xmin, ymax, xmax = (round(112 * e) for e in word.box)
            assert 0 <= ymin < ymax <= 112 and 0 <= xmin < xmax <= 112
            covered[ymin:ymax, xmin:xmax] += 1
            # Something is written there.
            assert scene.image[ymin:ymax, xmin:xmax].std() > 8.0
            assert word.text and not any(c.isspace() for c in word.text)
            scripts.add(word.script)
        assert covered.max() == 1
        ordered = [w for line in raster_lines(scene.words) for w in line]
        assert ordered == list(scene.words)
    assert scripts == set(SCRIPTS)


def test_raster_order():
    def word(text, ymin, xmin):
        return PlacedWord(text, (ymin, xmin, ymin + 0.1, xmin + 0.2), "latin")

    words = [
        word("d", 0.6, 0.1),
        word("b", 0.1, 0.7),
        word("a", 0.12, 0.1),
        word("c", 0.3, 0.5),
    ]
    lines = [[w.text for w in line] for line in raster_lines(words)]
    assert lines == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_face_draws_every_letter_of_its_script(script):
    faces, covering = faces_of(script)
    assert len(faces) >= 12
    letters = set("".join(WORDS[script]))
    if script != "georgian":
        letters |= set("".join(letters).upper())
    for number, face in enumerate(faces):
        font = load_font(face, 20)
        # What a face draws in place of a letter that it lacks.
        missing = bytes(font.getmask("\U0010fffe"))
        wanted = letters if number < covering else set("abcXYZ089.:%")
        lacking = [c for c in wanted if bytes(font.getmask(c)) == missing]
        assert not lacking, (face, lacking)


def test_pillows_font_needs_no_matplotlib():
    world = SyntheticWorld(fonts="pillow", scripts="latin")
    words = world.scene(0, "words").words
    assert words and all(word.text.isascii() for word in words)
    with pytest.raises(ValueError, match="only the script 'latin'"):
        SyntheticWorld(fonts="pillow", scripts="greek")
    with pytest.raises(ValueError, match="font files that exist"):
        SyntheticWorld(fonts=["/absent.ttf"])
    with pytest.raises(ValueError, match="must be 'matplotlib'"):
        SyntheticWorld(fonts="arial")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    from keras_paligemma.data.synthetic import fonts

    fonts._bundled_faces.cache_clear()
    fonts._matplotlib_folder.cache_clear()
    monkeypatch.setattr(fonts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        SyntheticWorld()


@pytest.mark.parametrize("size", [64, 224])
def test_other_sizes(size):
    scene = SyntheticWorld(image_size=size)[5]
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.objects[0].mask.shape == (size, size)
