"""Images of any size and mode, to the square in [-1, 1] that SigLIP reads."""

import keras
import keras_hub
import numpy as np

from keras_paligemma.preprocessing.image_loading import is_array
from keras_paligemma.preprocessing.image_loading import load_image
from keras_paligemma.preprocessing.image_loading import to_numpy
from keras_paligemma.preprocessing.image_resizing import INTERPOLATIONS
from keras_paligemma.preprocessing.image_resizing import resize_image
from keras_paligemma.preprocessing.presets import ImageConverterPresets
from keras_paligemma.preprocessing.tf_data import call_in_tf_data
from keras_paligemma.preprocessing.tf_data import is_symbolic
from keras_paligemma.preprocessing.tf_data import is_text
from keras_paligemma.preprocessing.tf_data import static_shape


@keras.saving.register_keras_serializable(package="keras_paligemma")
class PaliGemmaImageConverter(
    ImageConverterPresets, keras_hub.layers.ImageConverter
):
    """Squashes images to the size of the model and scales them to [-1, 1].

    The defaults are those PaliGemma was trained with: bilinear with
    antialiasing, no crop, aspect ratio not kept. It is computed in float32
    by one implementation, with Pillow and NumPy, whatever the backend; the
    result is a NumPy array, on which a `tf.data` map gets a symbolic tensor.

    Args:
        image_size: int or tuple of int. The height and width of the result.
        scale: float, or one for each channel. Factor on values in 0..255.
        offset: float, or one for each channel. Added after scaling.
        crop_to_aspect_ratio: bool. Cut the largest central window that has
            the aspect ratio of the result, instead of squashing.
        pad_to_aspect_ratio: bool. Letterbox: keep the aspect ratio, and
            fill up with black on both sides.
        interpolation: str. `"bilinear"`, or `"bicubic"`, which is what the
            processor of Transformers does.
        antialias: bool. Whether the kernel grows when an image is reduced.
        **kwargs: Arguments of `keras_hub.layers.ImageConverter`.

    Call arguments:
        inputs: One image (see `load_image`: a path, a `PIL.Image`, an array
            `[height, width, 3]`), a list of images of any sizes, an array
            `[batch, height, width, 3]`, or any of these nested once more.

    Returns:
        float32 array `[..., height, width, 3]`, the leading axes as in the
        inputs; for lists of lists of unequal length, a list of arrays.

    Raises:
        FileNotFoundError: If there is no file of a given name.
        ValueError: If an argument or an image cannot be used.

    Example:

    ```python
    converter = PaliGemmaImageConverter(image_size=224)
    converter("photograph.jpg").shape  # (224, 224, 3)
    converter([np.zeros((60, 80, 3)), np.zeros((9, 9))]).shape
    # (2, 224, 224, 3)
    ```
    """

    backbone_cls = None

    def __init__(
        self,
        image_size=(224, 224),
        scale=1 / 127.5,
        offset=-1.0,
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=False,
        interpolation="bilinear",
        antialias=True,
        data_format="channels_last",
        **kwargs,
    ):
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"`interpolation` must be one of {INTERPOLATIONS}. Received: "
                f"interpolation={interpolation!r}"
            )
        if data_format not in (None, "channels_last"):
            raise ValueError(
                "Images must be of the shape [height, width, channels]. "
                f"Received: data_format={data_format!r}"
            )
        super().__init__(
            image_size=_check_size(image_size),
            scale=scale,
            offset=offset,
            crop_to_aspect_ratio=crop_to_aspect_ratio,
            pad_to_aspect_ratio=pad_to_aspect_ratio,
            interpolation=interpolation,
            antialias=antialias,
            data_format="channels_last",
            **kwargs,
        )

    def __call__(self, inputs):
        # Keras refuses a list that mixes tensors with other images; only
        # tensors come from a `tf.data` map.
        if is_symbolic(inputs):
            return super().__call__(inputs)
        return self.call(inputs)

    def call(self, inputs):
        if not is_symbolic(inputs):
            return self._convert(inputs)
        shape = static_shape(inputs, "images")
        image_rank = 0 if is_text(inputs) else min(len(shape), 3)
        batch_shape = shape[: len(shape) - image_rank]
        outputs = call_in_tf_data(
            lambda values: {"images": self._convert(values["images"])},
            {"images": inputs},
            {"images": ((*batch_shape, *self.image_size, 3), "float32")},
        )
        return outputs["images"]

    def compute_output_spec(self, inputs):
        batch_shape = inputs.shape[:-3]
        return keras.KerasTensor(
            (*batch_shape, *self.image_size, 3), dtype="float32"
        )

    def __reduce__(self):
        # Plain data for worker processes, instead of a Keras archive.
        return type(self).from_config, (self.get_config(),)

    def _convert(self, inputs):
        images = _unstack(inputs)
        if images is None:
            return self._convert_one(load_image(inputs))
        if not images:
            raise ValueError(
                "At least one image is needed. Received: an empty list."
            )
        converted = [self._convert(image) for image in images]
        if len({np.shape(array) for array in converted}) > 1:
            return converted
        return np.stack(converted)

    def _convert_one(self, image):
        size = _check_size(self.image_size)
        if self.crop_to_aspect_ratio:
            image = _crop_to_aspect_ratio(image, size)
        inner_size = size
        if self.pad_to_aspect_ratio:
            inner_size = _size_inside(image.shape, size)
        image = resize_image(
            image, inner_size, self.interpolation, self.antialias
        )
        if self.pad_to_aspect_ratio:
            image = _pad_to_size(image, size)
        if self.scale is not None:
            image = image * np.asarray(self.scale, dtype="float32")
        if self.offset is not None:
            image = image + np.asarray(self.offset, dtype="float32")
        return image


def _unstack(inputs):
    """Returns the list of what is stacked in `inputs`; None for one image."""
    if isinstance(inputs, (list, tuple)):
        return list(inputs)
    if not is_array(inputs):
        return None
    array = to_numpy(inputs)
    if array.dtype.kind in "SUO":
        return array.tolist() if array.ndim else None
    return list(array) if array.ndim in (4, 5) else None


def _check_size(image_size):
    try:
        lengths = (
            (image_size, image_size) if np.ndim(image_size) == 0 else image_size
        )
        height, width = (int(length) for length in lengths)
    except (TypeError, ValueError):
        height, width = 0, 0
    if height < 1 or width < 1:
        raise ValueError(
            "`image_size` must be a positive int or two of them, the height "
            f"and the width. Received: image_size={image_size!r}"
        )
    return height, width


def _crop_to_aspect_ratio(image, size):
    height, width = image.shape[:2]
    crop_height = min(height, max(1, round(width * size[0] / size[1])))
    crop_width = min(width, max(1, round(height * size[1] / size[0])))
    top = (height - crop_height) // 2
    left = (width - crop_width) // 2
    return image[top : top + crop_height, left : left + crop_width]


def _size_inside(shape, size):
    """The largest size of the shape's aspect ratio that fits into `size`."""
    ratio = min(size[0] / shape[0], size[1] / shape[1])
    return tuple(
        min(limit, max(1, round(length * ratio)))
        for length, limit in zip(shape[:2], size, strict=True)
    )


def _pad_to_size(image, size):
    top = (size[0] - image.shape[0]) // 2
    left = (size[1] - image.shape[1]) // 2
    padded = np.zeros((*size, 3), dtype="float32")
    padded[top : top + image.shape[0], left : left + image.shape[1]] = image
    return padded
