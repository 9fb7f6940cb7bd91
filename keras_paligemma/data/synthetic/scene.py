"""What is on one picture, exactly."""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class PlacedObject:
    """One object of a scene, as far as it can be seen.

    Args:
        kind: string. One of `KINDS`.
        colour: string. One of `COLOURS`.
        mask: bool array `[height, width]`. The visible pixels.
        box: tuple. `(ymin, xmin, ymax, xmax)` of the visible pixels, 0 to 1.
        centre: tuple. `(y, x)` of the box's middle.
        visible: float. Seen share of the whole silhouette, 0 to 1.
        depth: int. 0 is furthest away; a greater depth hides a smaller one.
        radius: float. Of the circle around the silhouette, in pixels.
        rotation: float. In degrees.
        mirrored: bool.
        corner: tuple. `(row, column)` of the silhouette's own square in the
            picture, which may lie outside of it.
    """

    kind: str
    colour: str
    mask: np.ndarray
    box: tuple
    visible: float
    depth: int
    radius: float
    rotation: float
    mirrored: bool
    corner: tuple

    @property
    def centre(self):
        ymin, xmin, ymax, xmax = self.box
        return (ymin + ymax) / 2.0, (xmin + xmax) / 2.0

    @functools.cached_property
    def area(self):
        """Number of visible pixels."""
        return int(np.count_nonzero(self.mask))


@dataclasses.dataclass(frozen=True)
class PlacedWord:
    """One written word: its text, box `(ymin, xmin, ymax, xmax)`, script."""

    text: str
    box: tuple
    script: str


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """One picture with its whole truth.

    Args:
        image: uint8 array `[size, size, 3]`.
        objects: tuple of `PlacedObject`, in canonical order: largest visible
            area first, then from left to right, then from top to bottom.
        words: tuple of `PlacedWord`, in raster order.
        background: string. One of `BACKGROUNDS`.
    """

    image: np.ndarray
    objects: tuple
    words: tuple
    background: str

    def matching(self, kind, colour=None):
        """The objects of a kind, and of a colour where one is given."""
        return tuple(
            thing
            for thing in self.objects
            if thing.kind == kind and colour in (None, thing.colour)
        )


def canonical_order(objects):
    """Sorts objects: largest first, then left to right, then downwards."""
    return tuple(
        sorted(objects, key=lambda o: (-o.area, o.box[1], o.box[0], o.depth))
    )


def raster_lines(words):
    """Groups words into lines, top to bottom, each from left to right.

    Two words share a line when each one's middle lies between the top and
    the bottom of the other.

    Args:
        words: sequence of `PlacedWord`, in any order.

    Returns:
        A list of lists of `PlacedWord`.
    """
    lines = []
    for word in sorted(words, key=lambda word: word.box[0] + word.box[2]):
        for line in lines:
            if all(same_line(word.box, other.box) for other in line):
                line.append(word)
                break
        else:
            lines.append([word])
    return [sorted(line, key=lambda word: word.box[1]) for line in lines]


def same_line(first, second):
    """Whether two boxes stand side by side rather than one below another."""
    middle_first = (first[0] + first[2]) / 2.0
    middle_second = (second[0] + second[2]) / 2.0
    return (
        first[0] <= middle_second <= first[2]
        and second[0] <= middle_first <= second[2]
    )


def box_of(mask):
    """The tight box of a mask's true pixels, `(ymin, xmin, ymax, xmax)`.

    Example:

    >>> box_of(np.array([[0, 0, 0, 0], [0, 1, 1, 0]], bool))
    (0.5, 0.25, 1.0, 0.75)
    """
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return (
        float(rows[0] / height),
        float(columns[0] / width),
        float((rows[-1] + 1) / height),
        float((columns[-1] + 1) / width),
    )
