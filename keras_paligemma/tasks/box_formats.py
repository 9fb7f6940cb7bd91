"""Box formats of the field, each to and from normalised yxyx."""

import numpy as np

# What the four numbers are; "width" and "height" are of the box.
BOX_FORMATS = {
    "yxyx": "ymin, xmin, ymax, xmax; normalised",
    "xyxy": "xmin, ymin, xmax, ymax; normalised",
    "xywh": "xmin, ymin, width, height; normalised",
    "yolo": "x of the centre, y of the centre, width, height; normalised",
    "coco": "xmin, ymin, width, height; in pixels",
    "pascal_voc": "xmin, ymin, xmax, ymax; in pixels",
}
_IN_PIXELS = ("coco", "pascal_voc")
_SWAP = [1, 0, 3, 2]


def convert_boxes(boxes, source, target, image_size=None):
    """Converts boxes from one format to another.

    Pixels are continuous: an image of width 640 reaches from 0.0 to 640.0.
    Files of Pascal VOC that count pixels from 1 with both ends included are
    brought to that form by subtracting 1 from `xmin` and `ymin`.

    Args:
        boxes: array-like `[..., 4]`.
        source: str. A key of `BOX_FORMATS`.
        target: str. A key of `BOX_FORMATS`.
        image_size: tuple of int or `None`. Height and width of the image in
            pixels; needed if either format is in pixels.

    Returns:
        float64 array of the shape of `boxes`.

    Raises:
        ValueError: If a format is unknown, the last axis is not 4, or
            `image_size` is needed and missing or not positive.

    Example:

    ```python
    convert_boxes([[64, 48, 32, 24]], "coco", "yolo", image_size=(480, 640))
    # [[0.125, 0.125, 0.05, 0.05]]
    ```
    """
    for name, value in (("source", source), ("target", target)):
        if value not in BOX_FORMATS:
            raise ValueError(
                f"`{name}` must be one of {', '.join(BOX_FORMATS)}. "
                f"Received: {name}={value!r}"
            )
    boxes = np.asarray(boxes, "float64")
    if boxes.shape == (0,):
        boxes = boxes.reshape((0, 4))  # an empty list
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(
            "Boxes must have four numbers in their last axis: "
            f"{BOX_FORMATS[source]}. Received: boxes of shape {boxes.shape}"
        )
    if source in _IN_PIXELS:
        boxes = boxes / _scale(image_size, source)
    boxes = _from_corners(_to_corners(boxes, source), target)
    if target in _IN_PIXELS:
        boxes = boxes * _scale(image_size, target)
    return boxes


def _to_corners(boxes, source):
    """Normalised boxes to xmin, ymin, xmax, ymax."""
    if source == "yxyx":
        return boxes[..., _SWAP]
    if source in ("xyxy", "pascal_voc"):
        return boxes
    first, size = boxes[..., :2], boxes[..., 2:]
    if source == "yolo":
        first = first - size / 2
    return np.concatenate([first, first + size], axis=-1)


def _from_corners(corners, target):
    if target == "yxyx":
        return corners[..., _SWAP]
    if target in ("xyxy", "pascal_voc"):
        return corners
    first, last = corners[..., :2], corners[..., 2:]
    start = (first + last) / 2 if target == "yolo" else first
    return np.concatenate([start, last - first], axis=-1)


def _scale(image_size, name):
    valid = (
        image_size is not None
        and len(image_size) == 2
        and all(size > 0 for size in image_size)
    )
    if not valid:
        raise ValueError(
            f"The format {name!r} is in pixels and needs the image's "
            "`image_size=(height, width)`, both above 0. Received: "
            f"image_size={image_size!r}"
        )
    height, width = image_size
    return np.array([width, height, width, height], "float64")
