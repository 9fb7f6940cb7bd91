"""The augmentation of pre-training, as one callable for a mixture."""

import dataclasses

from keras_paligemma.data.box_augmentation import move_objects
from keras_paligemma.data.box_augmentation import move_text
from keras_paligemma.data.image_augmentation import draw_crop
from keras_paligemma.data.image_augmentation import encode_jpeg_randomly
from keras_paligemma.data.image_augmentation import resize_randomly
from keras_paligemma.data.image_augmentation import round_crop
from keras_paligemma.data.image_decoding import to_rgb
from keras_paligemma.data.scene_object import write_things
from keras_paligemma.tasks.ocr import OCR

# How often a crop is drawn again because it would lose a box.
_CROP_TRIALS = 10


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Changes a record at random, and its boxes and masks with it.

    In this order: a very slight crop, a resize by a random method, JPEG;
    the order of objects; pieces of text left out. Published are the kinds of
    change and the JPEG qualities; the size of the crop and the probabilities
    are this project's own.

    Args:
        image_size: int or `None`. Pixels on a side after the random resize;
            `None` leaves resizing to the preprocessor.
        area_min: float. The least area that the crop keeps; 1.0 for no crop.
            Where a crop would lose a box, there is none. The same crop is
            taken of all images of a record.
        jpeg_probability: float.
        jpeg_quality: pair of int. Lowest and highest.
        shuffle_objects: bool. Whether objects come in a random order.
        max_snippets_length: int or `None`. Of the text on an image; random
            pieces are left out until it fits.
        measure: callable of a str that returns its length; characters by
            default. A tokenizer's count is the better one.
        codec: object with `encode(crops)` or `None`. For records whose suffix
            has masks; without it these are neither cropped nor shuffled.

    Example:

    ```python
    mixture = Mixture(sources, augment=Augmentation(image_size=224))
    ```
    """

    image_size: int | None = None
    area_min: float = 0.95
    jpeg_probability: float = 0.5
    jpeg_quality: tuple = (75, 95)
    shuffle_objects: bool = True
    max_snippets_length: int | None = None
    measure: object = len
    codec: object = None

    def __call__(self, record, rng):
        """Augments one record.

        Args:
            record: `Record`.
            rng: `numpy.random.Generator`.

        Returns:
            `Record`.
        """
        images = [to_rgb(image) for image in record.decoded().images]
        record = dataclasses.replace(record, images=tuple(images))
        if self.area_min < 1 and images:
            record = self._crop(record, rng)
        images = [self._alter(image, rng) for image in record.images]
        record = dataclasses.replace(record, images=tuple(images))
        if self.shuffle_objects and self._can_write(record):
            order = rng.permutation(len(record.objects))
            objects = tuple(record.objects[int(i)] for i in order)
            record = self._with_objects(record, objects)
        if record.snippets and self.max_snippets_length is not None:
            record = self._skip_snippets(record, rng)
        return record

    def _alter(self, image, rng):
        if self.image_size is not None:
            image = resize_randomly(image, rng, self.image_size)
        if rng.random() < self.jpeg_probability:
            image = encode_jpeg_randomly(image, rng, self.jpeg_quality)
        return image

    def _crop(self, record, rng):
        if _has_masks(record) and not self._can_write(record):
            return record
        for _ in range(_CROP_TRIALS):
            cropped = self._try_crop(record, draw_crop(rng, self.area_min))
            if cropped is not None:
                return cropped
        return record

    def _try_crop(self, record, crop):
        images = []
        for image in record.images:
            pixels = round_crop(crop, image.width, image.height)
            top, left, bottom, right = pixels
            images.append(image.crop((left, top, right, bottom)))
            exact = (
                top / image.height,
                left / image.width,
                bottom / image.height,
                right / image.width,
            )
            if len(record.images) == 1:
                crop = exact
        objects = move_objects(record.objects, crop, pixels)
        prefix = move_text(record.prefix, crop)
        if objects is None or prefix is None:
            return None
        record = dataclasses.replace(
            record, images=tuple(images), prefix=prefix
        )
        if self._can_write(record):
            return self._with_objects(record, objects)
        suffix = move_text(record.suffix, crop)
        if suffix is None:
            return None
        return dataclasses.replace(record, objects=objects, suffix=suffix)

    def _can_write(self, record):
        """Whether the suffix is made of the objects, and can be made anew."""
        if _has_masks(record):
            known = [thing.mask is not None for thing in record.objects]
            return self.codec is not None and bool(known) and all(known)
        return bool(record.objects) and "<loc" in record.suffix

    def _with_objects(self, record, objects):
        codec = self.codec if _has_masks(record) else None
        suffix = write_things(objects, codec)
        return dataclasses.replace(record, objects=objects, suffix=suffix)

    def _skip_snippets(self, record, rng):
        kept = skip_snippets(
            record.snippets, rng, self.max_snippets_length, self.measure
        )
        suffix = OCR().suffix(kept)
        return dataclasses.replace(record, snippets=kept, suffix=suffix)


def _has_masks(record):
    return "<seg" in record.suffix


def skip_snippets(snippets, rng, max_length, measure=len):
    """Leaves out random pieces of text until the rest fits.

    Args:
        snippets: sequence of str, in raster order, which is kept.
        rng: `numpy.random.Generator`.
        max_length: int.
        measure: callable of a str that returns its length.

    Returns:
        tuple of str.

    Example:

    ```python
    skip_snippets(["EXIT", "Gate 12"], rng, max_length=8)
    # ("EXIT",) or ("Gate 12",)
    ```
    """
    order = [int(i) for i in rng.permutation(len(snippets))]
    kept = set(order)
    while kept:
        result = tuple(snippets[i] for i in sorted(kept))
        if measure(OCR().suffix(result)) <= max_length:
            return result
        kept.remove(order.pop())
    return ()
