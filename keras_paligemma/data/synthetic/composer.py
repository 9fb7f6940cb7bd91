"""Puts one scene together: background, words, then objects back to front."""

import math

import numpy as np

from keras_paligemma.data.synthetic.backgrounds import add_grain
from keras_paligemma.data.synthetic.backgrounds import draw_background
from keras_paligemma.data.synthetic.colours import COLOURS
from keras_paligemma.data.synthetic.colours import sample_rgb
from keras_paligemma.data.synthetic.fonts import faces_of
from keras_paligemma.data.synthetic.scene import PlacedObject
from keras_paligemma.data.synthetic.scene import PlacedWord
from keras_paligemma.data.synthetic.scene import Scene
from keras_paligemma.data.synthetic.scene import box_of
from keras_paligemma.data.synthetic.scene import canonical_order
from keras_paligemma.data.synthetic.scene import raster_lines
from keras_paligemma.data.synthetic.scene import same_line
from keras_paligemma.data.synthetic.shapes import KINDS
from keras_paligemma.data.synthetic.shapes import SHAPES
from keras_paligemma.data.synthetic.sprites import draw_edge
from keras_paligemma.data.synthetic.sprites import draw_silhouette
from keras_paligemma.data.synthetic.sprites import paint_sprite
from keras_paligemma.data.synthetic.words import draw_word
from keras_paligemma.data.synthetic.words import sample_text

_COLOURS = tuple(COLOURS)
# What owns a pixel: an object's number, nothing, or a word's surroundings.
_NOTHING, _WORD = -1, -2
# An object must show this share of its silhouette, and this share of the
# picture; what would hide another one more than that is placed elsewhere.
LEAST_VISIBLE = 0.55
LEAST_AREA = 0.004
# Largest number of objects, with how often each number comes.
_OBJECT_SHARES = np.cumsum([0.16, 0.2, 0.2, 0.16, 0.12, 0.09, 0.07])
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


class Composer:
    """Draws scenes into one canvas; one object serves one scene.

    Args:
        rng: `np.random.Generator`. Every choice comes from it.
        image_size: int. Side of the picture in pixels.
        scripts: sequence of strings. Scripts of the words.
        fonts: string or paths. As in `fonts.faces_of`.
    """

    def __init__(self, rng, image_size, scripts, fonts):
        self.rng = rng
        self.size = image_size
        self.scripts = scripts
        self.fonts = fonts
        self.canvas, self.background = draw_background(rng, image_size)
        self.owner = np.full((image_size, image_size), _NOTHING, np.int8)
        self.placed = []
        self.words = []

    def compose(self, focus):
        """Draws the whole scene.

        Args:
            focus: string. "objects" for one to seven objects and sometimes a
                word, "words" for one to six words and at most two objects.

        Returns:
            A `Scene`.
        """
        rng = self.rng
        if focus == "words":
            for _ in range(int(rng.integers(1, 7))):
                self._place_word()
            count = int(rng.integers(0, 3))
        else:
            if rng.random() < 0.25:
                self._place_word()
            count = 1 + int(np.searchsorted(_OBJECT_SHARES, rng.random()))
            count = min(count, len(_OBJECT_SHARES))
        self._place_objects(count, needed=focus != "words")
        picture = np.clip(add_grain(rng, self.canvas), 0.0, 255.0)
        lines = raster_lines(self.words)
        return Scene(
            image=picture.astype(np.uint8),
            objects=canonical_order(self._objects()),
            words=tuple(word for line in lines for word in line),
            background=self.background,
        )

    def _objects(self):
        for number, (thing, total) in enumerate(self.placed):
            mask = self.owner == number
            seen = int(np.count_nonzero(mask))
            yield PlacedObject(
                mask=mask,
                box=box_of(mask),
                visible=seen / total,
                depth=number,
                **thing,
            )

    def _place_objects(self, count, needed):
        rng = self.rng
        kinds, colours = KINDS, _COLOURS
        # Repeated kinds are what makes counting and several boxes worthwhile.
        if rng.random() < 0.45:
            kinds = [KINDS[rng.integers(len(KINDS))] for _ in range(2)]
        if rng.random() < 0.2:
            colours = [_COLOURS[rng.integers(len(_COLOURS))] for _ in range(2)]
        largest = 0.4 if count < 2 else 0.36 / count**0.3
        for _ in range(count):
            kind = kinds[rng.integers(len(kinds))]
            colour = colours[rng.integers(len(colours))]
            share = 0.1 * (largest / 0.1) ** rng.random()
            self._place_object(kind, colour, share * self.size, 6)
        while needed and not self.placed:
            self._place_object(kind, colour, 0.1 * self.size, 20)

    def _place_object(self, kind, colour, radius, tries):
        rng, shape = self.rng, SHAPES[kind]
        rotation = float(shape.tilt * (2.0 * rng.random() - 1.0))
        mirrored = bool(shape.mirrored and rng.random() < 0.5)
        coverage, tone = draw_silhouette(kind, radius, rotation, mirrored)
        body = coverage >= 128
        total = int(np.count_nonzero(body))
        side = body.shape[0]
        for _ in range(tries):
            centre = 0.05 + 0.9 * rng.random(2)
            if self.placed and rng.random() < 0.35:
                # Near another one, so that many of them overlap.
                near = self.placed[rng.integers(len(self.placed))][0]
                reach = near["radius"] + radius
                angle = rng.random() * 2.0 * math.pi
                middle = np.array(near["corner"]) + math.ceil(near["radius"])
                turn = np.array([math.sin(angle), math.cos(angle)])
                centre = (middle + 0.8 * reach * turn) / self.size
            row = round(centre[0] * self.size) - side // 2
            column = round(centre[1] * self.size) - side // 2
            inside, part = self._windows(row, column, side, side)
            if inside is None or not self._may_cover(inside, body[part], total):
                continue
            self._paint(inside, part, colour, coverage, tone)
            self.owner[inside][body[part]] = len(self.placed)
            thing = {
                "kind": kind,
                "colour": colour,
                "radius": float(radius),
                "rotation": rotation,
                "mirrored": mirrored,
                "corner": (row, column),
            }
            self.placed.append((thing, total))
            return

    def _windows(self, row, column, height, width):
        """The part of a rectangle inside the picture, seen from both."""
        top, left = max(row, 0), max(column, 0)
        bottom = min(row + height, self.size)
        right = min(column + width, self.size)
        if bottom <= top or right <= left:
            return None, None
        return (
            (slice(top, bottom), slice(left, right)),
            (
                slice(top - row, bottom - row),
                slice(left - column, right - column),
            ),
        )

    def _may_cover(self, inside, body, total):
        """Whether everything stays visible enough if `body` comes in front."""
        least = LEAST_AREA * self.size**2
        shown = int(np.count_nonzero(body))
        # The picture's border may cut off less than other objects may hide.
        if shown < max(0.75 * total, least):
            return False
        under = self.owner[inside][body]
        if (under == _WORD).any():
            return False
        hidden = np.bincount(under + 2, minlength=len(self.placed) + 2)[2:]
        for number in np.flatnonzero(hidden):
            whole = self.placed[number][1]
            left = np.count_nonzero(self.owner == number) - hidden[number]
            if left < max(LEAST_VISIBLE * whole, least):
                return False
        return True

    def _paint(self, inside, part, colour, coverage, tone):
        rng = self.rng
        rgb = sample_rgb(rng, colour)
        paint = paint_sprite(rng, colour, rgb, coverage, tone)
        behind = self.canvas[inside]
        contrast = np.abs(behind.mean((0, 1)) - rgb).sum()
        if contrast < 130.0 or rng.random() < 0.25:
            edge = draw_edge(coverage, max(1, round(self.size / 112)))
            light = float(rgb @ _LUMINANCE)
            line = rgb * 0.35 if light > 70.0 else rgb * 0.4 + 120.0
            paint += 0.85 * edge[..., None] * (line - paint)
        amount = (coverage.astype(np.float32) / 255.0)[..., None]
        if rng.random() < 0.3:
            self._cast_shadow(inside, part, amount[..., 0])
        behind += amount[part] * (paint[part] - behind)

    def _cast_shadow(self, inside, part, amount):
        shift = max(1, round(0.018 * self.size))
        shadow = np.zeros_like(amount)
        shadow[shift:, shift:] = amount[:-shift, :-shift]
        self.canvas[inside] *= 1.0 - 0.3 * shadow[part][..., None]

    def _place_word(self):
        rng = self.rng
        script = self.scripts[rng.integers(len(self.scripts))]
        faces, covering = faces_of(script, self.fonts)
        choice = int(rng.integers(len(faces)))
        text = sample_text(rng, script, plain=choice >= covering)
        share = 0.1 + 0.12 * rng.random() ** 2
        height = max(round(share * self.size), 8)
        ink = draw_word(rng, text, faces[choice], height)
        margin = max(2, round(0.025 * self.size))
        room = self.size - 2 * margin
        if ink.shape[1] > room or ink.shape[0] > room:
            height = max(int(height * room / ink.shape[1] * 0.9), 6)
            ink = draw_word(rng, text, faces[choice], height)
        if ink.shape[1] > room or ink.shape[0] > room:
            return
        rows, columns = ink.shape
        for _ in range(8):
            row = margin + int(rng.integers(room - rows + 1))
            column = margin + int(rng.integers(room - columns + 1))
            box = tuple(
                float(value / self.size)
                for value in (row, column, row + rows, column + columns)
            )
            around = (
                slice(row - margin, row + rows + margin),
                slice(column - margin, column + columns + margin),
            )
            if (self.owner[around] == _WORD).any() or not self._clear(box):
                continue
            self._write(around, ink, margin)
            self.owner[around] = _WORD
            self.words.append(PlacedWord(text, box, script))
            return

    def _clear(self, box):
        """Whether the word's place in raster order is beyond doubt."""
        for word in self.words:
            top = max(box[0], word.box[0])
            bottom = min(box[2], word.box[2])
            shorter = min(box[2] - box[0], word.box[2] - word.box[0])
            overlap = (bottom - top) / shorter
            if same_line(box, word.box) != (overlap > 0.7):
                return False
            if 0.1 < overlap <= 0.7:
                return False
        return True

    def _write(self, around, ink, margin):
        rng = self.rng
        behind = self.canvas[around]
        light = behind @ _LUMINANCE
        # A sign behind the word where the ground is too busy to read on.
        if light.std() > 28.0 or rng.random() < 0.2:
            plate = sample_rgb(rng, _COLOURS[rng.integers(len(_COLOURS))])
            behind[1:-1, 1:-1] = plate
            middle = float(plate @ _LUMINANCE)
        else:
            middle = float(light.mean())
        rgb = sample_rgb(rng, _COLOURS[rng.integers(len(_COLOURS))])
        distance = float(rgb @ _LUMINANCE) - middle
        if abs(distance) < 110.0:
            rgb = rgb * 0.25 if middle > 120.0 else 0.25 * rgb + 190.0
        amount = (ink.astype(np.float32) / 255.0)[..., None]
        window = behind[margin:-margin, margin:-margin]
        window += amount * (rgb - window)
