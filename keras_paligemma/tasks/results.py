"""What the detection and segmentation tasks read out of a text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Detections:
    """Boxes, in the order of the text, and what was amiss.

    Args:
        boxes: tuple of `Box`.
        problems: tuple of `Problem`. Empty if the text is as it should be.
    """

    boxes: tuple = ()
    problems: tuple = ()


@dataclasses.dataclass(frozen=True)
class Segmentations:
    """Masks, in the order of the text, and what was amiss.

    Args:
        masks: tuple of `Mask`.
        problems: tuple of `Problem`. Empty if the text is as it should be.
    """

    masks: tuple = ()
    problems: tuple = ()

    @property
    def boxes(self):
        """tuple of `Box`. The boxes of the masks."""
        return tuple(mask.box for mask in self.masks)
