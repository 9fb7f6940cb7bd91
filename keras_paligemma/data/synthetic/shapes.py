"""The outlines of every kind of object, as polygons.

A shape is drawn by steps: polygons added to or cut out of the silhouette,
then details, which only lighten or darken the inside. Coordinates have x to
the right and y down; each silhouette is scaled to fill the unit circle, so
that any rotation stays inside it.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Shape:
    """One kind of object.

    Args:
        steps: tuple of (bool, array). True adds the polygon `[points, 2]` to
            the silhouette, False cuts it out; in order.
        details: tuple of (float, array). How much lighter (above 0) or darker
            (below 0) the polygon is than the body, -1 to 1.
        tilt: float. Largest rotation in degrees in which the kind is still
            told from the others: a square turned by 45 would be a diamond.
        mirrored: bool. Whether it may also be drawn facing the other way.
    """

    steps: tuple
    details: tuple = ()
    tilt: float = 25.0
    mirrored: bool = False


def _ellipse(x, y, width, height=None, start=0.0, end=360.0, count=40):
    angles = np.radians(np.linspace(start, end, count))
    height = width if height is None else height
    return np.stack(
        [x + width * np.cos(angles), y + height * np.sin(angles)], 1
    )


def _regular(corners, inner=None, turn=-90.0):
    """A regular polygon, or a star when `inner` is the inner radius."""
    count = corners if inner is None else 2 * corners
    angles = np.radians(turn + 360.0 * np.arange(count) / count)
    radii = np.ones(count)
    if inner is not None:
        radii[1::2] = inner
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def _points(*flat):
    return np.array(flat, float).reshape(-1, 2)


def _rectangle(left, top, right, bottom):
    return _points(left, top, right, top, right, bottom, left, bottom)


def _heart():
    t = np.linspace(0.0, 2.0 * np.pi, 48)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y - 2.5], 1) / 17.0


def _drop():
    arc = _ellipse(0.0, 0.32, 0.66, start=-28.0, end=208.0)
    return np.concatenate([arc, _points(0.0, -1.0)])


def _leaf():
    t = np.linspace(0.0, np.pi, 24)
    half = np.stack([-np.cos(t), -0.5 * np.sin(t)], 1)
    return np.concatenate([half, -half])


def _bell():
    y = np.linspace(-0.75, 0.6, 20)
    x = 0.2 + 0.5 * ((y + 0.75) / 1.35) ** 0.55 + 0.16 * (y > 0.45)
    side = np.stack([x, y], 1)
    return np.concatenate([side, side[::-1] * (-1, 1)])


def _scaled(shape):
    """Centres the silhouette's bounds and scales it into the unit circle."""
    added = np.concatenate([points for add, points in shape.steps if add])
    middle = (added.min(0) + added.max(0)) / 2.0
    radius = np.hypot(*(added - middle).T).max()
    return dataclasses.replace(
        shape,
        steps=tuple((add, (p - middle) / radius) for add, p in shape.steps),
        details=tuple(
            (tone, (p - middle) / radius) for tone, p in shape.details
        ),
    )


def _shapes():
    add, cut = True, False
    petals = [
        (add, _ellipse(0.6 * np.cos(a), 0.6 * np.sin(a), 0.38))
        for a in np.radians(60 * np.arange(6))
    ]
    scallops = [(cut, _ellipse(x, 0.02, 0.25, 0.16)) for x in (-0.75, -0.25)]
    scallops += [(cut, _ellipse(x, 0.02, 0.25, 0.16)) for x in (0.25, 0.75)]
    puffs = [(-0.62, 0.12, 0.36), (-0.2, -0.14, 0.46), (0.3, -0.02, 0.42)]
    puffs = [(add, _ellipse(*puff)) for puff in [*puffs, (0.7, 0.18, 0.3)]]
    wheels = [(add, _ellipse(x, 0.38, 0.24)) for x in (-0.52, 0.52)]
    teeth = [(add, _rectangle(x, 0.0, x + 0.13, 0.36)) for x in (0.5, 0.8)]
    shapes = {
        "circle": Shape(((add, _ellipse(0, 0, 1)),), tilt=180),
        "square": Shape(((add, _rectangle(-1, -1, 1, 1)),), tilt=14),
        "triangle": Shape(((add, _regular(3)),), tilt=180),
        "star": Shape(((add, _regular(5, 0.42)),), tilt=180),
        "heart": Shape(((add, _heart()),), tilt=30),
        "ring": Shape(
            ((add, _ellipse(0, 0, 1)), (cut, _ellipse(0, 0, 0.56))), tilt=180
        ),
        "cross": Shape(
            (
                (add, _rectangle(-1, -0.32, 1, 0.32)),
                (add, _rectangle(-0.32, -1, 0.32, 1)),
            ),
            tilt=20,
        ),
        "moon": Shape(
            ((add, _ellipse(0, 0, 1)), (cut, _ellipse(0.5, -0.1, 0.84))),
            tilt=40,
            mirrored=True,
        ),
        "arrow": Shape(
            (
                (add, _rectangle(-1, -0.2, 0.25, 0.2)),
                (add, _points(0.15, -0.6, 1, 0, 0.15, 0.6)),
            ),
            tilt=180,
        ),
        "hexagon": Shape(((add, _regular(6)),), tilt=180),
        "diamond": Shape(
            ((add, _points(0, -1, 0.62, 0, 0, 1, -0.62, 0)),), tilt=14
        ),
        "house": Shape(
            (
                (add, _rectangle(-0.72, -0.1, 0.72, 0.9)),
                (add, _points(-1, -0.1, 0, -0.9, 1, -0.1)),
                (add, _rectangle(0.42, -0.85, 0.66, -0.2)),
            ),
            (
                (-0.45, _rectangle(-0.5, 0.25, -0.1, 0.9)),
                (0.55, _rectangle(0.15, 0.15, 0.5, 0.5)),
                (-0.22, _points(-1, -0.1, 0, -0.9, 1, -0.1)),
            ),
            tilt=12,
            mirrored=True,
        ),
        "tree": Shape(
            (
                (add, _points(-0.45, -0.35, 0, -1, 0.45, -0.35)),
                (add, _points(-0.6, 0.1, 0, -0.65, 0.6, 0.1)),
                (add, _points(-0.75, 0.6, 0, -0.25, 0.75, 0.6)),
                (add, _rectangle(-0.14, 0.55, 0.14, 1)),
            ),
            ((-0.4, _rectangle(-0.14, 0.6, 0.14, 1)),),
            tilt=14,
        ),
        "fish": Shape(
            (
                (add, _ellipse(-0.2, 0, 0.75, 0.46)),
                (add, _points(0.35, 0, 0.95, -0.5, 0.8, 0, 0.95, 0.5)),
                (add, _points(-0.35, -0.35, 0.1, -0.72, 0.15, -0.35)),
            ),
            (
                (0.8, _ellipse(-0.6, -0.1, 0.13)),
                (-0.85, _ellipse(-0.62, -0.1, 0.06)),
            ),
            mirrored=True,
        ),
        "cup": Shape(
            (
                (add, _ellipse(0.55, -0.05, 0.42, 0.4)),
                (cut, _ellipse(0.55, -0.05, 0.24, 0.22)),
                (add, _points(-0.75, -0.7, 0.6, -0.7, 0.4, 0.75, -0.55, 0.75)),
            ),
            ((-0.35, _ellipse(-0.075, -0.66, 0.6, 0.1)),),
            tilt=16,
            mirrored=True,
        ),
        "car": Shape(
            (
                (add, _points(-1, -0.05, 1, 0.0, 1, 0.36, -1, 0.36)),
                (add, _points(-0.65, 0, -0.4, -0.5, 0.3, -0.5, 0.62, 0)),
                *wheels,
            ),
            (
                (
                    0.6,
                    _points(-0.5, -0.06, -0.33, -0.4, -0.1, -0.4, -0.1, -0.06),
                ),
                (0.6, _points(0.0, -0.06, 0.0, -0.4, 0.25, -0.4, 0.45, -0.06)),
                *((-0.7, _ellipse(x, 0.38, 0.24)) for x in (-0.52, 0.52)),
                *((0.3, _ellipse(x, 0.38, 0.1)) for x in (-0.52, 0.52)),
            ),
            tilt=14,
            mirrored=True,
        ),
        "cat": Shape(
            (
                (add, _ellipse(0, 0.15, 0.8, 0.7)),
                (add, _points(-0.78, 0.1, -0.7, -0.95, -0.1, -0.45)),
                (add, _points(0.78, 0.1, 0.7, -0.95, 0.1, -0.45)),
            ),
            (
                (0.8, _ellipse(-0.32, 0.05, 0.17, 0.15)),
                (0.8, _ellipse(0.32, 0.05, 0.17, 0.15)),
                (-0.9, _ellipse(-0.32, 0.05, 0.06, 0.14)),
                (-0.9, _ellipse(0.32, 0.05, 0.06, 0.14)),
                (-0.6, _points(-0.12, 0.32, 0.12, 0.32, 0, 0.48)),
            ),
        ),
        "flower": Shape(
            ((add, _ellipse(0, 0, 0.5)), *petals),
            ((0.65, _ellipse(0, 0, 0.3)), (-0.4, _ellipse(0, 0, 0.14))),
            tilt=180,
        ),
        "cloud": Shape((*puffs, (add, _rectangle(-0.62, 0.1, 0.7, 0.48)))),
        "bolt": Shape(
            (
                (add, _points(0.2, -1, -0.55, 0.15, -0.05, 0.1)),
                (add, _points(0.2, -1, -0.05, 0.1, 0.02, -0.15)),
                (add, _points(-0.22, 1, 0.55, -0.2, -0.1, -0.12)),
                (add, _points(-0.22, 1, -0.1, -0.12, -0.3, 0.14, 0.06, 0.12)),
            ),
            mirrored=True,
        ),
        "key": Shape(
            (
                (add, _ellipse(-0.6, 0, 0.42)),
                (cut, _ellipse(-0.6, 0, 0.2)),
                (add, _rectangle(-0.24, -0.11, 1, 0.11)),
                *teeth,
            ),
            tilt=180,
            mirrored=True,
        ),
        "boat": Shape(
            (
                (add, _points(-1, 0.35, 1, 0.35, 0.65, 0.85, -0.65, 0.85)),
                (add, _rectangle(-0.06, -0.95, 0.06, 0.4)),
                (add, _points(0.12, -0.9, 0.8, 0.2, 0.06, 0.2, 0.06, -0.9)),
                (add, _points(-0.06, -0.6, -0.06, 0.2, -0.6, 0.2)),
            ),
            ((-0.4, _points(-1, 0.35, 1, 0.35, 0.65, 0.85, -0.65, 0.85)),),
            tilt=14,
            mirrored=True,
        ),
        "mushroom": Shape(
            (
                (add, _ellipse(0, 0.1, 0.95, 0.9, 180, 360)),
                (add, _points(-0.28, 0.05, 0.28, 0.05, 0.36, 0.9, -0.36, 0.9)),
            ),
            (
                (0.6, _ellipse(-0.42, -0.22, 0.17)),
                (0.6, _ellipse(0.08, -0.45, 0.18)),
                (0.6, _ellipse(0.5, -0.15, 0.14)),
                (0.25, _points(-0.28, 0.1, 0.28, 0.1, 0.36, 0.9, -0.36, 0.9)),
            ),
            tilt=18,
        ),
        "umbrella": Shape(
            (
                (add, _ellipse(0, 0, 1, 0.9, 180, 360)),
                *scallops,
                (add, _rectangle(-0.06, -1, 0.06, 0.8)),
                (add, _ellipse(0.16, 0.75, 0.22, 0.22, 0, 180)),
                (cut, _ellipse(0.17, 0.72, 0.1)),
            ),
            ((-0.25, _points(-0.25, 0, 0, -0.9, 0.25, 0)),),
            mirrored=True,
        ),
        "crown": Shape(
            (
                (
                    add,
                    _points(
                        *(-0.95, -0.5, -0.5, 0.05, 0, -0.75, 0.5, 0.05),
                        *(0.95, -0.5, 0.78, 0.65, -0.78, 0.65),
                    ),
                ),
            ),
            (
                (-0.35, _rectangle(-0.8, 0.42, 0.8, 0.65)),
                (0.6, _ellipse(0, 0.15, 0.12)),
            ),
            tilt=20,
        ),
        "leaf": Shape(
            ((add, _leaf()), (add, _rectangle(0.9, -0.05, 1.3, 0.05))),
            ((-0.4, _rectangle(-0.8, -0.035, 1.3, 0.035)),),
            tilt=180,
        ),
        "bell": Shape(
            (
                (add, _bell()),
                (add, _ellipse(0, 0.68, 0.2)),
                (add, _ellipse(0, -0.8, 0.16)),
            ),
            ((-0.4, _ellipse(0, 0.72, 0.17)),),
            tilt=20,
        ),
        "drop": Shape(((add, _drop()),), ((0.45, _ellipse(-0.22, 0.3, 0.14)),)),
    }
    return {kind: _scaled(shape) for kind, shape in shapes.items()}


SHAPES = _shapes()
KINDS = tuple(SHAPES)
