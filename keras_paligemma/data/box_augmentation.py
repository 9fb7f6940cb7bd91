"""Moves boxes and masks along with a crop of their image."""

import re

from keras_paligemma.data.scene_object import SceneObject
from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.locations import LOCATION_PATTERN
from keras_paligemma.tasks.locations import read_locations
from keras_paligemma.tasks.locations import write_locations

_BOX = re.compile(f"(?:{LOCATION_PATTERN}){{4}}")
# A box of which less is left does not show what its label says any more.
_LEAST_PART = 0.5


def move_edges(edges, crop):
    """The edges of a box, as fractions of a crop of the image.

    Args:
        edges: tuple of float `(ymin, xmin, ymax, xmax)`.
        crop: tuple of float `(ymin, xmin, ymax, xmax)`.

    Returns:
        tuple of float, or `None` if less than half of the box is left.

    Example:

    ```python
    move_edges((0.0, 0.5, 0.5, 1.0), (0.0, 0.0, 0.5, 1.0))
    # (0.0, 0.5, 1.0, 1.0)
    ```
    """
    moved, part = [0.0] * 4, 1.0
    for axis in range(2):
        first, last = edges[axis], edges[axis + 2]
        start, stop = crop[axis], crop[axis + 2]
        low, high = max(first, start), min(last, stop)
        if low > high:
            return None
        if last > first:
            part *= (high - low) / (last - first)
        moved[axis] = (low - start) / (stop - start)
        moved[axis + 2] = (high - start) / (stop - start)
    return tuple(moved) if part >= _LEAST_PART else None


def move_objects(objects, crop, pixel_crop):
    """Moves boxes and masks.

    Args:
        objects: sequence of `SceneObject`.
        crop: tuple of float `(ymin, xmin, ymax, xmax)`.
        pixel_crop: tuple of int `(top, left, bottom, right)`. The same.

    Returns:
        tuple of `SceneObject`, or `None` if one would be lost.
    """
    top, left, bottom, right = pixel_crop
    result = []
    for thing in objects:
        edges = move_edges(thing.box.yxyx, crop)
        mask = thing.mask
        if mask is not None:
            mask = mask[top:bottom, left:right]
            if mask.sum() < _LEAST_PART * thing.mask.sum():
                return None
        if edges is None:
            return None
        box = Box(*edges, label=thing.box.label, score=thing.box.score)
        result.append(SceneObject(box, mask))
    return tuple(result)


def move_text(text, crop):
    """Moves the boxes that a text names.

    Args:
        text: str. Boxes are runs of four location tokens.
        crop: tuple of float `(ymin, xmin, ymax, xmax)`.

    Returns:
        str, or `None` if a box would be lost, or if there are location or
        segmentation tokens that are no box.

    Example:

    ```python
    move_text("<loc0000><loc0000><loc0512><loc1023> cat", (0, 0, 0.5005, 1))
    # "<loc0000><loc0000><loc1023><loc1023> cat"
    ```
    """
    lost = "<seg" in text or "<loc" in _BOX.sub("", text)

    def move(match):
        nonlocal lost
        edges = move_edges(read_locations(match.group()), crop)
        lost = lost or edges is None
        return "" if edges is None else write_locations(edges)

    moved = _BOX.sub(move, text)
    return None if lost else moved
