"""The model's inputs, made whole: one image or several, masks or none."""

from keras import ops

KEYS = ("images", "image_mask", "token_ids", "padding_mask", "response_mask")


def complete_inputs(inputs, image_size):
    """Fills in what a caller may leave out.

    Args:
        inputs: dict of tensors: `images` `[batch, height, width, 3]` or
            `[batch, images, height, width, 3]`, `token_ids`
            `[batch, length]`; optional `image_mask` `[batch, images]` (0 for
            an image that only fills up the batch; all 1 if missing),
            `padding_mask` (all 1 if missing) and `response_mask` (all 0 if
            missing), both `[batch, length]`.
        image_size: int. Pixels on a side that the model takes.

    Returns:
        dict with all five, `images` with an axis of images.

    Raises:
        ValueError: If a required input is missing or `images` has another
            shape.
    """
    missing = [k for k in ("images", "token_ids") if k not in inputs]
    if missing:
        raise ValueError(
            "The model needs `images` and `token_ids`; raw `prompts` go "
            "through a preprocessor. "
            f"Missing: {missing}. Received: keys={sorted(inputs)}"
        )
    images, token_ids = inputs["images"], inputs["token_ids"]
    if getattr(images.shape, "rank", 4) is None:
        # TensorFlow forgets the rank after batches of both kinds.
        size = (-1, image_size, image_size, 3)
        images = ops.reshape(images, (ops.shape(token_ids)[0], *size))
    _check_images(images, image_size)
    if len(images.shape) == 4:
        images = ops.expand_dims(images, 1)
    complete = {"images": images, "token_ids": token_ids}
    given = {key: inputs.get(key) for key in KEYS}
    if given["image_mask"] is None:
        given["image_mask"] = ops.ones_like(
            images[:, :, 0, 0, 0], dtype="int32"
        )
    if given["padding_mask"] is None:
        given["padding_mask"] = ops.ones_like(token_ids, dtype="int32")
    if given["response_mask"] is None:
        given["response_mask"] = ops.zeros_like(token_ids, dtype="int32")
    return {key: complete.get(key, given[key]) for key in KEYS}


def _check_images(images, image_size):
    shape = tuple(images.shape)
    expected = (image_size, image_size, 3)
    fits = len(shape) in (4, 5) and all(
        size is None or size == want
        for size, want in zip(shape[-3:], expected, strict=True)
    )
    if not fits:
        raise ValueError(
            "`images` must be [batch, height, width, 3] or "
            "[batch, images, height, width, 3] with height and width "
            f"{image_size}; a preprocessor with `image_size={image_size}` "
            f"makes them so. Received: images.shape={shape}"
        )
