"""Outlines of many kinds, as the mask codec sees them: cropped, 64 by 64."""

import math

import numpy as np
from PIL import Image
from PIL import ImageDraw

from keras_paligemma.data.synthetic.shapes import SHAPES
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import crop_mask
from keras_paligemma.tasks import mask_edges

SIDE = 128
KINDS = ("object", "blob", "polygon", "ellipse", "rectangle", "strip", "limbs")
_FINER = 2
# Things of the world stand upright, or nearly.
_ANGLES = {"object": (-0.7, 0.7)}


def draw_mask(rng, kinds=KINDS, objects=None):
    """Draws one mask: a thing, perhaps with another before it.

    Some lie across the border of the picture, some are hidden in part or
    have a hole, some consist of two parts or three.

    Args:
        rng: `numpy.random.Generator`.
        kinds: sequence of names out of `KINDS`.
        objects: sequence of kinds of the synthetic world's objects, or
            `None` for all.

    Returns:
        bool array `[128, 128]` with at least 30 pixels set.

    Example:

    ```python
    mask = draw_mask(np.random.default_rng(0))
    ```
    """
    objects = sorted(SHAPES) if objects is None else objects
    while True:
        mask = _thing(rng, kinds, objects, rng.uniform(10, 75))
        change = rng.random()
        if change < 0.2:  # Something stands before it.
            mask &= ~_thing(rng, kinds, objects, rng.uniform(8, 40))
        elif change < 0.4:  # Two or three parts.
            for _ in range(rng.integers(1, 3)):
                mask |= _thing(rng, kinds, objects, rng.uniform(8, 40))
        if np.count_nonzero(mask) >= 30:
            return mask


def draw_crops(rng, count, kinds=KINDS, objects=None):
    """Draws crops to train a codec on, float32 `[count, 64, 64]` in 0..1."""
    crops = np.empty((count, 64, 64), "float32")
    for row in range(count):
        mask = draw_mask(rng, kinds, objects)
        crops[row] = crop_mask(mask, Box(*mask_edges(mask)))
        if rng.random() < 0.5:
            crops[row] = crops[row, :, ::-1]
    return crops


def _thing(rng, kinds, objects, radius):
    kind = kinds[rng.integers(len(kinds))]
    canvas = Image.new("L", (SIDE * _FINER,) * 2, 0)
    pen = ImageDraw.Draw(canvas)
    centre = rng.uniform(0, SIDE, 2)
    turn = _rotation(rng.uniform(*_ANGLES.get(kind, (0, 2 * math.pi))))
    for added, points in _steps(rng, kind, objects):
        places = ((points @ turn) * radius + centre) * _FINER
        pen.polygon(places.ravel().tolist(), fill=255 if added else 0)
    return np.asarray(canvas.reduce(_FINER)) >= 128


def _rotation(angle):
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def _steps(rng, kind, objects):
    if kind == "object":
        shape = SHAPES[objects[rng.integers(len(objects))]]
        stretch = rng.uniform(0.6, 1.0, 2)
        return [(added, points * stretch) for added, points in shape.steps]
    if kind == "limbs":
        return _limbs(rng)
    return [(True, _OUTLINES[kind](rng))]


def _blob(rng):
    """A smooth outline: a circle whose radius swings."""
    angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    radii = np.ones(72)
    for wave in range(1, 7):
        size = rng.normal() * 0.35 / wave
        radii += size * np.cos(wave * angles + rng.uniform(0, 2 * math.pi))
    radii = np.clip(radii, 0.15, None)
    radii /= radii.max()
    stretch = np.array([1.0, rng.uniform(0.35, 1.0)])
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
    return points * stretch


def _polygon(rng):
    corners = rng.integers(3, 12)
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    radii = rng.uniform(0.3, 1.0, corners)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def _ellipse(rng):
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    height = rng.uniform(0.15, 1.0)
    return np.stack([np.cos(angles), height * np.sin(angles)], 1)


def _rectangle(rng):
    height = rng.uniform(0.15, 1.0)
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (1, height)


def _strip(rng):
    """A band of even width, straight or bent, some as thin as a pole."""
    along = np.linspace(-1, 1, 24)
    bend = rng.uniform(-0.8, 0.8) if rng.random() < 0.6 else 0.0
    width = math.exp(rng.uniform(math.log(0.03), math.log(0.2)))
    middle = bend * (along**2 - 0.5)
    slope = 2 * bend * along
    across = np.stack([-slope, np.ones(24)], 1)
    across *= width / np.linalg.norm(across, axis=1, keepdims=True)
    line = np.stack([along, middle], 1)
    return np.concatenate([line + across, (line - across)[::-1]])


def _limbs(rng):
    """A body with limbs, as people and animals have."""
    body = _blob(rng) * rng.uniform(0.4, 0.7)
    steps = [(True, body)]
    for _ in range(rng.integers(1, 7)):
        angle = rng.uniform(0, 2 * math.pi)
        root = body[rng.integers(len(body))] * rng.uniform(0.0, 0.8)
        width = rng.uniform(0.05, 0.16)
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]]) * width
        tip = root + along * rng.uniform(0.4, 0.9)
        wider = 1.5 * across
        limb = [root + wider, tip + across, tip - across, root - wider]
        steps.append((True, np.array(limb)))
    return steps


_OUTLINES = {
    "blob": _blob,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "rectangle": _rectangle,
    "strip": _strip,
}
