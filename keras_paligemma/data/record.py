"""One example: images, prefix, suffix, and what augmentation needs."""

import dataclasses

from keras_paligemma.data.image_decoding import decode_images


@dataclasses.dataclass(frozen=True)
class Record:
    """One example of a data set.

    Making a record opens no image: each is decoded when it is asked for.

    Args:
        images: tuple. Each a path, the bytes of an image file, a `PIL.Image`,
            an array `[height, width, 3]` in 0..255, or a callable that
            returns one of these or a list of them (a video). Several are read
            as one example.
        prefix: str. The prompt.
        suffix: str. The response.
        task: str or `None`. The name of its task.
        source: str or `None`. The name of its data set.
        location: str or `None`. Where it stands, `file:line`, for errors.
        objects: tuple of `SceneObject`. What a detection or segmentation
            suffix was built from; a crop moves them and builds it anew.
        choices: tuple of str. Suffixes that are equally right (captions of
            one image); a mixture draws one of them each epoch.
        snippets: tuple of str. The pieces of text on the image in raster
            order, of which augmentation leaves some out to fit a length.

    Example:

    ```python
    record = Record(("cat.jpg",), "caption en", "a cat on a mat")
    record.raw()
    # {"images": <PIL.Image>, "prompts": "caption en",
    #  "responses": "a cat on a mat"}
    ```
    """

    images: tuple
    prefix: str
    suffix: str
    task: str | None = None
    source: str | None = None
    location: str | None = None
    objects: tuple = ()
    choices: tuple = ()
    snippets: tuple = ()

    def decoded(self):
        """This record with its images decoded.

        Returns:
            A `Record` whose `images` are `PIL.Image`s or arrays.

        Raises:
            ValueError: If an image is missing or broken; the text names
                `location`.
        """
        images = decode_images(self.images, self.location)
        return dataclasses.replace(self, images=images)

    def raw(self):
        """The example as the model's preprocessor takes it.

        Returns:
            dict with `"images"` (an image, or a list if there is another
            number than one), `"prompts"` and `"responses"` (str).
        """
        images = list(self.decoded().images)
        return {
            "images": images[0] if len(images) == 1 else images,
            "prompts": self.prefix,
            "responses": self.suffix,
        }
