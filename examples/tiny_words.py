"""What stage 0 of the tiny PaliGemma asks each patch of a picture.

Words for the thing that it shows, for that thing's edges and its own place,
and for the letter that it shows.
"""

import dataclasses
import functools

import numpy as np

from keras_paligemma.data.synthetic import COLOURS
from keras_paligemma.data.synthetic import KINDS
from keras_paligemma.data.synthetic import colour_name
from keras_paligemma.data.synthetic import noun_phrase
from keras_paligemma.data.synthetic.fonts import faces_of
from keras_paligemma.data.synthetic.fonts import load_font
from keras_paligemma.data.synthetic.scene import box_of
from keras_paligemma.data.synthetic.words import WORDS

PATCH_SIZE = 14
# Share of a patch that a thing must cover to be what it shows; a patch of
# less, but some, is not asked.
SHOWN, SOME = 0.25, 0.03
# In the order of a box, then the patch's own middle.
EDGES = ("top", "left", "bottom", "right")
PLACES = ("row", "column")
# Places are told apart to a sixteenth of the picture.
STEPS = 16
THING_WORDS = len(KINDS) + len(COLOURS) + len(EDGES) * (STEPS + 1)


@functools.cache
def letters():
    """Every character that the world's words can have."""
    found = set("0123456789.:%")
    for script, words in WORDS.items():
        found |= set("".join(words))
        # As `sample_text` has them.
        if script != "georgian":
            found |= set("".join(w for w in words if "ß" not in w).upper())
    return tuple(sorted(found))


@functools.cache
def world_words():
    """What patches are asked, in the order of the answers."""
    words = [noun_phrase("en", kind) for kind in KINDS]
    words += [colour_name("en", colour) for colour in COLOURS]
    for name in (*EDGES, *PLACES):
        for step in range(STEPS + 1):
            words.append(f"{name} <loc{round(1023 * step / STEPS):04d}>")
    return (*words, *letters())


def patch_answers(scene, patch_size=PATCH_SIZE):
    """Which of `world_words` each patch of a scene shows.

    Returns:
        int8 array `[patches, words]`, patches in raster order: 1 for yes, -1
        for no, 0 where the patch is not asked.
    """
    side = len(scene.image) // patch_size
    patches = np.arange(side * side)
    answers = np.full((len(patches), len(world_words())), -1, "int8")
    for axis, numbers in enumerate(np.divmod(patches, side)):
        middles = step_of((numbers + 0.5) / side)
        answers[patches, THING_WORDS + axis * (STEPS + 1) + middles] = 1
    answer_things(answers, scene.objects, side, patch_size)
    for word in scene.words:
        answer_letters(answers, word, side, patch_size)
    return answers


def step_of(place):
    """The nearest of the places that have a word, for 0..1."""
    return np.rint(np.asarray(place) * STEPS).astype(int)


def answer_things(answers, things, side, patch_size):
    """Writes what patches show of things: kinds, colours and edges."""
    cells = (side, patch_size, side, patch_size)
    cover = [thing.mask.reshape(cells).mean((1, 3)).ravel() for thing in things]
    if not cover:
        return
    kinds, colours = tuple(KINDS), tuple(COLOURS)
    first = len(kinds) + len(colours)
    largest, most = np.argmax(cover, 0), np.max(cover, 0)
    for i, thing in enumerate(things):
        shown = (largest == i) & (most > SHOWN)
        answers[shown, kinds.index(thing.kind)] = 1
        answers[shown, len(kinds) + colours.index(thing.colour)] = 1
        for edge, step in enumerate(step_of(thing.box)):
            answers[shown, first + edge * (STEPS + 1) + step] = 1
    answers[(most > SOME) & (most <= SHOWN), :THING_WORDS] = 0


def answer_letters(answers, word, side, patch_size):
    """Writes which letter of a word stands in the middle of each patch.

    Where letters end is estimated from their widths in one face, so those
    nearby are not asked.
    """
    top, left, bottom, right = np.array(word.box) * side * patch_size
    ends = left + (right - left) * letter_ends(word.text, word.script)
    first = answers.shape[1] - len(letters())
    places = [first + letters().index(letter) for letter in word.text]
    for patch in range(side * side):
        y, x = np.array(divmod(patch, side)) * patch_size
        high = min(bottom, y + patch_size) - max(top, y)
        if high <= 0:
            continue
        middle = -1
        if high >= 0.5 * min(patch_size, bottom - top):
            middle = np.searchsorted(ends, x + patch_size / 2, "right") - 1
        for i, place in enumerate(places):
            near = patch_size / 4
            if i == middle:
                answers[patch, place] = 1
            elif ends[i] < x + patch_size + near and ends[i + 1] > x - near:
                answers[patch, place] = max(answers[patch, place], 0)


def letter_ends(text, script):
    """Where letters begin and end within their word, `[letters + 1]`, 0..1."""
    font = load_font(faces_of(script, "matplotlib")[0][0], 32)
    ends = np.cumsum([0.0, *(font.getlength(letter) for letter in text)])
    return ends / ends[-1]


def cropped(scene, top, left, size):
    """A square of a scene, as a scene; what lies outside is left off."""
    window = slice(top, top + size), slice(left, left + size)
    whole = len(scene.image)
    shift = np.array([top, left, top, left])
    things = [
        dataclasses.replace(
            thing, mask=thing.mask[window], box=box_of(thing.mask[window])
        )
        for thing in scene.objects
        if thing.mask[window].any()
    ]
    words = [
        dataclasses.replace(
            word, box=tuple((np.array(word.box) * whole - shift) / size)
        )
        for word in scene.words
    ]
    return dataclasses.replace(
        scene,
        image=scene.image[window],
        objects=tuple(things),
        words=tuple(words),
    )
