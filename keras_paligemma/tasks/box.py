"""`Box`: where something is on an image, and what it is."""

import dataclasses
import math

from keras_paligemma.tasks.box_formats import convert_boxes
from keras_paligemma.tasks.locations import write_locations


@dataclasses.dataclass(frozen=True)
class Box:
    """A box with a label, in coordinates normalised to 0..1.

    Coordinates outside 0..1 are kept, and clipped when the box is written as
    tokens. A box without height or width is allowed: a small thing may begin
    and end at the same location token.

    Args:
        ymin: float. The upper edge.
        xmin: float. The left edge.
        ymax: float. The lower edge, at least `ymin`.
        xmax: float. The right edge, at least `xmin`.
        label: str. What is in the box.
        score: float or `None`. How sure the model is, if that is known.

    Raises:
        ValueError: If a coordinate is not finite, or the box is inside out.

    Example:

    ```python
    box = Box(0.1, 0.1, 0.15, 0.15, "cat")
    box.to("coco", image_size=(480, 640))  # (64.0, 48.0, 32.0, 24.0)
    ```
    """

    ymin: float
    xmin: float
    ymax: float
    xmax: float
    label: str = ""
    score: float | None = None

    def __post_init__(self):
        edges = tuple(float(edge) for edge in self.yxyx)
        finite = all(math.isfinite(edge) for edge in edges)
        if not finite or edges[0] > edges[2] or edges[1] > edges[3]:
            raise ValueError(
                "A box must have finite edges with ymin <= ymax and "
                f"xmin <= xmax. Received: ymin={edges[0]}, xmin={edges[1]}, "
                f"ymax={edges[2]}, xmax={edges[3]}, label={self.label!r}. "
                "Mind the order of the edges, or use `Box.of`, which knows "
                "the formats of the field."
            )
        for name, edge in zip(
            ("ymin", "xmin", "ymax", "xmax"), edges, strict=True
        ):
            object.__setattr__(self, name, edge)  # no NumPy scalars inside

    @property
    def yxyx(self):
        """The tuple `(ymin, xmin, ymax, xmax)`."""
        return (self.ymin, self.xmin, self.ymax, self.xmax)

    @classmethod
    def of(cls, values, box_format, image_size=None, label="", score=None):
        """Makes a box from another format.

        Args:
            values: sequence of four numbers.
            box_format: str. A key of `BOX_FORMATS`: `"coco"`,
                `"pascal_voc"`, `"yolo"`, `"xyxy"`, `"xywh"` or `"yxyx"`.
            image_size: tuple of int or `None`. Height and width of the image,
                for the formats in pixels.
            label: str. What is in the box.
            score: float or `None`.

        Returns:
            A `Box`.

        Raises:
            ValueError: If the format is unknown, the size of the image is
                missing, or the box is inside out.
        """
        edges = convert_boxes(values, box_format, "yxyx", image_size)
        return cls(*edges.tolist(), label=label, score=score)

    def to(self, box_format, image_size=None):
        """Returns the box in another format, a tuple of four floats."""
        values = convert_boxes(self.yxyx, "yxyx", box_format, image_size)
        return tuple(values.tolist())

    def pixels(self, image_size):
        """The rows and columns of the box, at least one of each.

        Edges are rounded to whole pixels and clipped to the image.

        Args:
            image_size: tuple of int. Height and width of the image.

        Returns:
            A tuple of int `(top, left, bottom, right)`, `bottom` and `right`
            exclusive.
        """
        height, width = image_size
        top, bottom = _round_range(self.ymin, self.ymax, height)
        left, right = _round_range(self.xmin, self.xmax, width)
        return top, left, bottom, right

    def tokens(self):
        """Writes the box as four location tokens."""
        return write_locations(self.yxyx)


def _round_range(first, last, size):
    start = min(max(round(first * size), 0), size - 1)
    stop = min(max(round(last * size), start + 1), size)
    return start, stop
