"""Objects drawn alone: their coverage of pixels, and their colour."""

import functools
import math

import numpy as np
from PIL import Image
from PIL import ImageDraw

from keras_paligemma.data.synthetic.colours import DEFAULT_SHADING
from keras_paligemma.data.synthetic.colours import SHADING
from keras_paligemma.data.synthetic.shapes import SHAPES

# Edges are drawn this many times finer, then averaged. Truth is the pixels
# that are covered by at least a half.
SUPERSAMPLING = 3
TEXTURES = ("plain", "gradient", "ball", "stripes", "dots", "mottled")


def draw_silhouette(kind, radius, rotation=0.0, mirrored=False):
    """Draws one object's silhouette and its inner details.

    Args:
        kind: string. One of `KINDS`.
        radius: float. Radius in pixels of the circle around the object.
        rotation: float. Degrees, clockwise on the picture.
        mirrored: bool. Whether it faces the other way.

    Returns:
        `(coverage, tone)`: uint8 `[side, side]` with 255 for a pixel wholly
        covered, and float32 `[side, side]`, lighter above 0 and darker below,
        or None for a kind without details.
    """
    shape = SHAPES[kind]
    side = 2 * math.ceil(radius) + 2
    scale = SUPERSAMPLING * radius
    centre = SUPERSAMPLING * side / 2.0 - 0.5
    angle = math.radians(rotation)
    turn = np.array(
        [
            [math.cos(angle), math.sin(angle)],
            [-math.sin(angle), math.cos(angle)],
        ]
    )
    turn = turn * scale
    if mirrored:
        turn[0] = -turn[0]

    def draw(steps, ground):
        canvas = Image.new("L", (SUPERSAMPLING * side,) * 2, ground)
        pen = ImageDraw.Draw(canvas)
        for value, points in steps:
            corners = (points @ turn + centre).ravel().tolist()
            pen.polygon(corners, fill=value)
        return np.asarray(canvas.reduce(SUPERSAMPLING))

    steps = [(255 if added else 0, points) for added, points in shape.steps]
    coverage = draw(steps, 0)
    if not shape.details:
        return coverage, None
    details = [(round(128 + 127 * tone), p) for tone, p in shape.details]
    tone = (draw(details, 128).astype(np.float32) - 128.0) / 127.0
    return coverage, tone


@functools.lru_cache(maxsize=256)
def _grid(side):
    """Coordinates -1 to 1 of a square of pixels, y then x."""
    line = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    return line[:, None], line[None, :]


def _pattern(rng, texture, side):
    """Light and dark over a sprite, -1 to 1, or None."""
    y, x = _grid(side)
    if texture == "gradient":
        angle = rng.random() * 2.0 * math.pi
        return np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y
    if texture == "ball":
        return 1.0 - 1.3 * np.sqrt((x + 0.4) ** 2 + (y + 0.4) ** 2)
    if texture == "stripes":
        angle, waves = rng.random() * math.pi, rng.uniform(5.0, 11.0)
        phase = (math.cos(angle) * x + math.sin(angle) * y) * np.float32(waves)
        return np.sign(np.sin(phase * 1.6)).astype(np.float32)
    if texture == "dots":
        waves = np.float32(rng.uniform(7.0, 12.0))
        dots = np.sin(waves * x) * np.sin(waves * y)
        return np.where(dots > 0.35, np.float32(1.0), np.float32(-0.3))
    if texture == "mottled":
        coarse = rng.random((6, 6), dtype=np.float32) * 2.0 - 1.0
        return np.asarray(
            Image.fromarray(coarse).resize((side, side), Image.BICUBIC)
        )
    return None


def paint_sprite(rng, colour, rgb, coverage, tone):
    """The colours of a sprite, float32 `[side, side, 3]`."""
    side = coverage.shape[0]
    texture = TEXTURES[rng.integers(len(TEXTURES))]
    pattern = _pattern(rng, texture, side)
    paint = np.empty((side, side, 3), np.float32)
    paint[:] = rgb
    if pattern is not None:
        limit = SHADING.get(colour, DEFAULT_SHADING)
        shade = (pattern * np.float32(limit))[..., None]
        paint += shade * (paint + 12.0)
    if tone is not None:
        towards = np.where(tone > 0.0, np.float32(255.0), np.float32(0.0))
        paint += np.abs(tone)[..., None] * (towards[..., None] - paint)
    return paint


def draw_edge(coverage, width):
    """How much of each pixel lies on the silhouette's inner edge, 0 to 1."""
    inner = coverage
    for _ in range(width):
        shrunk = inner.copy()
        np.minimum(shrunk[1:], inner[:-1], out=shrunk[1:])
        np.minimum(shrunk[:-1], inner[1:], out=shrunk[:-1])
        np.minimum(shrunk[:, 1:], inner[:, :-1], out=shrunk[:, 1:])
        np.minimum(shrunk[:, :-1], inner[:, 1:], out=shrunk[:, :-1])
        inner = shrunk
    return (coverage - inner).astype(np.float32) / 255.0
