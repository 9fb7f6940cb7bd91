"""COCO captions, boxes and instance masks."""

import collections
import functools
import math
import os

from keras_paligemma.data.languages import check_language
from keras_paligemma.data.problems import DataError
from keras_paligemma.data.problems import Problems
from keras_paligemma.data.readers.checked_records import CheckedRecords
from keras_paligemma.data.readers.image_paths import resolve_image
from keras_paligemma.data.readers.json_files import load_json
from keras_paligemma.data.readers.json_files import require
from keras_paligemma.data.readers.json_files import require_id
from keras_paligemma.data.readers.json_files import require_text
from keras_paligemma.data.record import Record
from keras_paligemma.data.scene_object import SceneObject
from keras_paligemma.data.scene_object import write_things
from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.detect import Detect
from keras_paligemma.tasks.mask_formats import polygons_to_mask
from keras_paligemma.tasks.mask_formats import rle_to_mask
from keras_paligemma.tasks.segment import Segment

# Pixels.
_TOLERANCE = 1


def read_coco_captions(path, image_root, language="en", on_error="raise"):
    """The images of a COCO caption file, each with all of its captions.

    Args:
        path: str or path. `captions_train2017.json` or one like it.
        image_root: str or path. The folder of the images.
        language: str. Of the captions.
        on_error: `"raise"` or `"skip"`.

    Returns:
        sequence of `Record`; a mixture draws one of `choices` each epoch.

    Example:

    ```python
    records = read_coco_captions("captions_val2017.json", "val2017")
    records[0].choices  # ("A man in a black shirt ...", ...)
    ```
    """
    check_language(language, "language")

    def make(entry):
        image, annotations, location = entry
        captions = tuple(
            require_text(a, "caption", _locate(path, a)) for a in annotations
        )
        return Record(
            images=(_image(image, image_root, location),),
            prefix=f"caption {language}",
            suffix=captions[0],
            task="caption",
            location=location,
            choices=captions if len(captions) > 1 else (),
        )

    problems = Problems(on_error)
    data = load_json(path, ("images", "annotations"))
    entries = _entries(data, path, problems)
    return CheckedRecords(entries, make, os.fspath(path), problems)


def read_coco_detection(path, image_root, on_error="raise"):
    """The images of a COCO instance file, with their boxes to be detected.

    The prefix asks for all categories that are on the image. Crowds are left
    out, and so are images without a box.

    Args:
        path: str or path. `instances_train2017.json` or one like it.
        image_root: str or path. The folder of the images.
        on_error: `"raise"` or `"skip"`.

    Returns:
        sequence of `Record`, with `objects`.

    Example:

    ```python
    records = read_coco_detection("instances_val2017.json", "val2017")
    records[0].prefix  # "detect person ; dog"
    ```
    """
    return _read_instances(path, image_root, on_error, None)


def read_coco_instances(path, image_root, codec, on_error="raise"):
    """The images of a COCO instance file, with masks to be segmented.

    Args:
        path: str or path. `instances_train2017.json` or one like it.
        image_root: str or path. The folder of the images.
        codec: object with `encode(crops)`, from masks `[n, 64, 64]` in 0..1
            to codes `[n, 16]`.
        on_error: `"raise"` or `"skip"`.

    Returns:
        sequence of `Record`, with `objects` that have masks.
    """
    return _read_instances(path, image_root, on_error, codec)


def _read_instances(path, image_root, on_error, codec):
    data = load_json(path, ("images", "annotations", "categories"))
    names = {
        require_id(c, "id", path): require_text(c, "name", path)
        for c in data["categories"]
    }
    problems = Problems(on_error)
    task = Detect() if codec is None else Segment()

    def make(entry, check_only=False):
        image, annotations, location = entry
        size = _size(image, location)
        boxes = [_box(a, names, size, _locate(path, a)) for a in annotations]
        suffix, objects = "", ()
        try:
            prefix = task.prefix(list(dict.fromkeys(b.label for b in boxes)))
            if check_only and codec is not None:
                for annotation in annotations:
                    _check_mask(annotation, size, _locate(path, annotation))
            if not check_only:
                masks = [
                    None if codec is None else _mask(a, size, _locate(path, a))
                    for a in annotations
                ]
                objects = tuple(map(SceneObject, boxes, masks))
                suffix = write_things(objects, codec)
        except DataError:
            raise
        except ValueError as error:
            raise DataError("faulty label", f"{location}: {error}") from error
        return Record(
            images=(_image(image, image_root, location),),
            prefix=prefix,
            suffix=suffix,
            task=task.name,
            location=location,
            objects=objects,
        )

    entries = [
        (image, kept, location)
        for image, annotations, location in _entries(data, path, problems)
        if (kept := [a for a in annotations if not a.get("iscrowd")])
    ]
    check = functools.partial(make, check_only=True)
    return CheckedRecords(entries, make, os.fspath(path), problems, check)


def _entries(data, path, problems):
    """Triples: an image, its annotations, and its location."""
    name = os.fspath(path)
    images = {}
    for image in data["images"]:
        good, key = problems.guard(require_id, image, "id", f"{name}:images")
        if good:
            images[key] = image
    by_image = collections.defaultdict(list)
    for annotation in data["annotations"]:
        place = _locate(path, annotation)
        good, key = problems.guard(require_id, annotation, "image_id", place)
        if not good:
            continue
        if key in images:
            by_image[key].append(annotation)
            continue
        problems.report(
            "missing field",
            f"{place}: an annotation must name one of the images. Received: "
            f"image_id={key!r}.",
        )
    return [
        (image, by_image[key], f"{name}:image {key}")
        for key, image in images.items()
        if by_image.get(key)
    ]


def _locate(path, annotation):
    known = isinstance(annotation, dict)
    number = annotation.get("id") if known else "without an id"
    return f"{os.fspath(path)}:annotation {number}"


def _size(image, location):
    """Height and width of an image."""
    size = tuple(require(image, k, location) for k in ("height", "width"))
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise DataError(
            "wrong field",
            f"{location}: the height and the width of an image must be whole "
            f"numbers above 0. Received: {size!r:.80}.",
        )
    return size


def _image(image, image_root, location):
    name = require(image, "file_name", location)
    return resolve_image(name, os.fspath(image_root), location)


def _box(annotation, names, size, location):
    label = names.get(require_id(annotation, "category_id", location))
    if label is None:
        raise DataError(
            "missing field",
            f"{location}: there is no category {annotation['category_id']!r}.",
        )
    box = require(annotation, "bbox", location)
    if not _is_inside(box, *size):
        raise DataError(
            "faulty box",
            f"{location}: a box must be [x, y, width, height] in pixels, of "
            f"positive size, inside the image of {size[1]} x {size[0]}. "
            f"Received: {box!r:.80}.",
        )
    edges = Box.of(box, "coco", size).yxyx
    return Box(*(min(max(edge, 0.0), 1.0) for edge in edges), label=label)


def _is_inside(box, height, width):
    """Whether a box stands out of its image by no more than rounding."""
    if not isinstance(box, list) or len(box) != 4:
        return False
    if not all(isinstance(value, (int, float)) for value in box):
        return False
    x, y, box_width, box_height = box
    return (  # False if one is NaN
        box_width > 0
        and box_height > 0
        and -_TOLERANCE <= x < width
        and -_TOLERANCE <= y < height
        and x + box_width <= width + _TOLERANCE
        and y + box_height <= height + _TOLERANCE
    )


def _check_mask(annotation, size, location):
    """Finds what is wrong with a mask without drawing it, polygons at least.

    That of a polygon nothing is left on the image's pixels only shows when it
    is drawn, for each record that is asked for.
    """
    segmentation = require(annotation, "segmentation", location)
    if not isinstance(segmentation, list):
        _mask(annotation, size, location)
        return
    good = bool(segmentation) and all(
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(
            isinstance(value, (int, float)) and math.isfinite(value)
            for value in polygon
        )
        for polygon in segmentation
    )
    if not good:
        raise DataError(
            "faulty mask",
            f"{location}: the polygons of a mask must be lists [x0, y0, x1, "
            "y1, x2, y2, ...] of at least three points. Received: "
            f"{segmentation!r:.80}.",
        )


def _mask(annotation, size, location):
    segmentation = require(annotation, "segmentation", location)
    try:
        if isinstance(segmentation, list):
            mask = polygons_to_mask(segmentation, size)
        else:
            mask = rle_to_mask(segmentation)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError("faulty mask", f"{location}: {error}") from error
    if mask.shape != size or not mask.any():
        raise DataError(
            "faulty mask",
            f"{location}: a mask must have the size {size} of its image and "
            f"not be empty. Received: size={mask.shape}, {mask.sum()} pixels.",
        )
    return mask
