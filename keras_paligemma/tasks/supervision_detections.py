"""Boxes and masks <-> `supervision.Detections`.

These need `supervision`, which is imported when one of them is called; it
comes with `pip install keras-paligemma[detection]`.
"""

import numpy as np

from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.box_formats import convert_boxes


def to_supervision(result, image_size, things=None, codec=None):
    """Converts boxes or masks to `supervision.Detections`.

    Args:
        result: `Detections`, `Segmentations`, or sequence of `Box` or of
            `Mask`.
        image_size: tuple of int. Height and width of the image.
        things: sequence of str or `None`. The labels in the order of their
            class ids. By default, those of the result in the order of the
            alphabet. A label that is not among them gets the id -1.
        codec: The codec of the masks (see `Mask`), or `None` to convert the
            boxes only.

    Returns:
        `supervision.Detections`, with `class_name` in its `data`, and
        `confidence` if every box has a score.

    Raises:
        ImportError: If supervision is missing.

    Example:

    ```python
    found = Detect().parse(text)
    detections = to_supervision(found, image.shape[:2])
    ```
    """
    supervision = _supervision()
    if hasattr(result, "problems"):
        result = getattr(result, "masks", None) or result.boxes
    objects = list(result)
    boxes = [getattr(thing, "box", thing) for thing in objects]
    labels = [box.label for box in boxes]
    things = sorted(set(labels)) if things is None else list(things)
    ids = {thing: index for index, thing in enumerate(things)}
    edges = np.array([box.yxyx for box in boxes]).reshape(-1, 4)
    masks = None
    if codec is not None and objects:
        masks = np.stack([thing.pixels(codec, image_size) for thing in objects])
    scores = [box.score for box in boxes]
    scored = bool(scores) and None not in scores
    return supervision.Detections(
        xyxy=convert_boxes(edges, "yxyx", "pascal_voc", image_size),
        mask=masks,
        confidence=np.array(scores, "float64") if scored else None,
        class_id=np.array([ids.get(label, -1) for label in labels], int),
        data={"class_name": np.array(labels, dtype=str)},
    )


def from_supervision(detections, image_size, things=None):
    """Converts `supervision.Detections` to boxes.

    Args:
        detections: `supervision.Detections`.
        image_size: tuple of int. Height and width of the image.
        things: sequence of str or `None`. Labels by class id, for detections
            without `class_name` in their `data`.

    Returns:
        list of `Box`.

    Raises:
        ValueError: If there are neither names nor class ids with `things`.
    """
    names = detections.data.get("class_name")
    if names is None and things is not None:
        if detections.class_id is not None:
            names = [things[index] for index in detections.class_id]
    if names is None and len(detections):
        raise ValueError(
            "The labels of detections are in `data['class_name']`, or are "
            "`things` by `class_id`. Received: detections with "
            f"data={sorted(detections.data)}, class_id="
            f"{detections.class_id}, things={things}"
        )
    scores = detections.confidence
    return [
        Box.of(
            edges,
            "pascal_voc",
            image_size,
            label=str(names[index]),
            score=None if scores is None else float(scores[index]),
        )
        for index, edges in enumerate(detections.xyxy)
    ]


def _supervision():
    try:
        import supervision
    except ImportError as error:
        raise ImportError(
            "`to_supervision` needs supervision. Install it with `pip install "
            "keras-paligemma[detection]`."
        ) from error
    return supervision
