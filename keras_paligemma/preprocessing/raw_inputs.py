"""What users pass as prompts, responses and images, in one form."""

import re

import numpy as np

from keras_paligemma.preprocessing.image_loading import is_array
from keras_paligemma.preprocessing.image_loading import to_numpy

# What users of Transformers type before a prompt.
_TYPED_TOKENS = re.compile(r"(?:\s*(?:<image>|<bos>))+\s*")


def select_inputs(x, required):
    """Picks the inputs that are read from `x`.

    Args:
        x: dict. What the user passed; other keys are left out.
        required: tuple of str. The keys that must be there.

    Raises:
        ValueError: If `x` is no dict or lacks a required key.
    """
    if not isinstance(x, dict):
        raise ValueError(
            f"The inputs must be a dict with the keys {required}. Received: "
            f"type(x)={type(x).__name__}"
        )
    missing = [key for key in required if x.get(key) is None]
    if missing:
        raise ValueError(
            f"The inputs must be a dict with the keys {required}. Received: "
            f"keys {sorted(x)}, without {missing}."
        )
    names = ("images", "prompts", "responses")
    return {name: x[name] for name in names if x.get(name) is not None}


def as_texts(value, name):
    """Turns one text or a batch of texts into a list of str.

    Args:
        value: str, bytes, list of these, or an array or tensor of strings.
        name: str. The name of the value, for errors.

    Returns:
        A pair: the list of str, and whether `value` was a batch.

    Raises:
        ValueError: If `value` is or holds something else than text.
    """
    if is_array(value):
        value = to_numpy(value)
        value = value.tolist() if value.ndim <= 1 else value
    if isinstance(value, (list, tuple)):
        return [_as_text(text, name) for text in value], True
    return [_as_text(value, name)], False


def clean_prompt(prompt):
    r"""Takes off what the preprocessor adds itself.

    Leading `<image>` and `<bos>` (with white space around them), and one
    newline at the end, which is the separator:

    ```python
    clean_prompt("<image><bos> caption en\n")  # "caption en"
    clean_prompt(" caption en")  # " caption en"
    ```
    """
    match = _TYPED_TOKENS.match(prompt)
    if match:
        prompt = prompt[match.end() :]
    return prompt.removesuffix("\n")


def group_images(images, batched, num_examples):
    """Sorts images by example.

    Args:
        images: One image for each example, or several (a list, or an array
            with one axis more). A single image may stand for a batch of one.
        batched: bool. Whether the prompts are a batch. If not, `images` is
            one image or a list of the several images of the one example.
        num_examples: int. The number of prompts.

    Returns:
        A list with a list of images for each example.

    Raises:
        ValueError: If there are more or fewer images than examples.
    """
    if not batched:
        return [_several(images)]
    groups = _examples(images)
    if groups is None:
        groups = [images]
    if len(groups) != num_examples:
        raise ValueError(
            "There must be one entry in `images` for each prompt. Received: "
            f"{len(groups)} images and {num_examples} prompts. Several images "
            "for one prompt go into a list of their own, "
            '{"images": [[image, image]], "prompts": ["..."]}.'
        )
    return [_several(group) for group in groups]


def stack_arrays(images):
    """Stacks images that are in [-1, 1] and of the right size already.

    Args:
        images: list of array `[height, width, 3]`.

    Returns:
        float32 array `[len(images), height, width, 3]`.

    Raises:
        ValueError: If they are no arrays, or not of one shape.
    """
    for image in images:
        if not is_array(image) or len(image.shape) != 3:
            received = getattr(image, "shape", type(image).__name__)
            raise ValueError(
                "With `image_converter=None`, images must be arrays [height, "
                "width, 3] in [-1, 1], as the model reads them. Received: "
                f"{received}. Give the preprocessor a "
                "`PaliGemmaImageConverter` for all else."
            )
    arrays = [to_numpy(image).astype("float32") for image in images]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            "With `image_converter=None`, all images must have one shape. "
            f"Received: shapes {sorted(shapes)}."
        )
    return np.stack(arrays)


def pad_images(stacked, counts, several=None):
    """Sorts stacked images into rows, and pads the rows to one length.

    Three images of two examples, `counts=[2, 1]`, become

    ```
    images      [[image 0, image 1], [image 2, zeros]]
    image_mask  [[1, 1], [1, 0]]
    ```

    Args:
        stacked: float32 array `[sum(counts), height, width, 3]`.
        counts: list of int. How many images each example has.
        several: bool. Whether there is an axis for the images of an example;
            `None` for "if some example has another number than one".

    Returns:
        A dict with `"images"` `[batch, images, height, width, 3]` and
        `"image_mask"` int32 `[batch, images]`; without that axis only with
        `"images"` `[batch, height, width, 3]`.
    """
    if several is None:
        several = any(count != 1 for count in counts)
    if not several:
        return {"images": stacked}
    shape = (len(counts), max(counts))
    image_mask = np.arange(shape[1]) < np.array(counts)[:, None]
    padded = np.zeros((*shape, *stacked.shape[1:]), dtype="float32")
    padded[image_mask] = stacked
    return {"images": padded, "image_mask": image_mask.astype("int32")}


def _as_text(text, name):
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if not isinstance(text, str):
        raise ValueError(
            f"`{name}` must be a str or a list of str. Received: "
            f"type={type(text).__name__}, value={text!r:.100}"
        )
    return str(text)


def _examples(images):
    """Splits a batch of images; returns None for what is one image."""
    if isinstance(images, (list, tuple)):
        return list(images)
    if is_array(images):
        array = to_numpy(images)
        if array.dtype.kind in "SUO" and array.ndim:
            return array.tolist()
        if array.ndim >= 4:
            return list(array)
    return None


def _several(images):
    """Splits the images of one example; one image becomes a list of one."""
    groups = _examples(images)
    return [images] if groups is None else groups
