"""What a detection or segmentation suffix is built from."""

import dataclasses

import numpy as np

from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.mask import Mask
from keras_paligemma.tasks.mask_crops import crop_mask
from keras_paligemma.tasks.mask_crops import mask_edges
from keras_paligemma.tasks.object_text import write_objects


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """A thing on an image: its box, and its mask if that is known.

    Args:
        box: `Box`. With its label.
        mask: bool array `[height, width]` of the whole image, or `None`.
    """

    box: Box
    mask: object = dataclasses.field(default=None, repr=False, compare=False)


def write_things(objects, codec=None):
    """The suffix that lists things, with their masks if there is a codec.

    Args:
        objects: sequence of `SceneObject`.
        codec: object with `encode(crops)`, from `[n, 64, 64]` to codes
            `[n, 16]`, or `None` for boxes alone.

    Returns:
        str.

    Raises:
        ValueError: If a label could not be read back, or a mask is empty.

    Example:

    ```python
    write_things([SceneObject(Box(0.0, 0.5, 1.0, 1.0, "cat"))])
    # "<loc0000><loc0512><loc1023><loc1023> cat"
    ```
    """
    if codec is None or not objects:
        return write_objects([thing.box for thing in objects])
    # The codes stand for what is in the box, so it must be the mask's own.
    boxes = [
        Box(*mask_edges(thing.mask), label=thing.box.label) for thing in objects
    ]
    crops = np.stack(
        [
            crop_mask(thing.mask, box)
            for thing, box in zip(objects, boxes, strict=True)
        ]
    )
    codes = np.asarray(codec.encode(crops)).tolist()
    return write_objects(
        [Mask(box, tuple(c)) for box, c in zip(boxes, codes, strict=True)]
    )
