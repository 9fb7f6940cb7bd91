"""Embeddings of images for the search by cosine."""

import numpy as np

from keras_paligemma.data.image_decoding import to_rgb

_BATCH = 16


def image_embedder(encode, image_size):
    """Makes the callable that `deduplicate` takes as `embed`.

    Images are squeezed into a square, bilinear with antialiasing, to [-1, 1].
    The embedding is the mean of an image encoder's patch features, of unit
    length.

    Args:
        encode: callable. Takes float32 pixels `[batch, image_size,
            image_size, 3]` in [-1, 1], returns patch features `[batch,
            patches, width]`. Batches always have the same size, so that a
            compiled function is compiled once.
        image_size: int. Pixels on a side.

    Returns:
        A callable of a list of `PIL.Image` or arrays that returns float32
        vectors `[num_images, width]`.

    Example:

    ```python
    encoder = PaliGemmaBackbone.from_preset(preset).image_encoder
    embed = image_embedder(encoder, encoder.image_size)
    embed([image, copy]) @ embed([image]).T  # cosines
    ```
    """

    def embed(images):
        vectors = []
        for start in range(0, len(images), _BATCH):
            part = images[start : start + _BATCH]
            pixels = np.zeros((_BATCH, image_size, image_size, 3), "float32")
            for row, image in enumerate(part):
                pixels[row] = _pixels(image, image_size)
            features = np.asarray(encode(pixels), "float32")
            if features.ndim != 3 or len(features) != _BATCH:
                raise ValueError(
                    "`encode` must return patch features [batch, patches, "
                    f"width] for a batch of {_BATCH}. Received: "
                    f"shape={features.shape}"
                )
            vectors.append(features[: len(part)].mean(axis=1))
        return unit_length(np.concatenate(vectors))

    return embed


def unit_length(vectors):
    """Scales each vector of `[..., width]` to length one, as float32."""
    vectors = np.asarray(vectors, "float32")
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def _pixels(image, size):
    bands = [
        # Mode "F" keeps the fractions that 8 bits would round away.
        band.convert("F").resize((size, size), 2)
        for band in to_rgb(image).split()
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1) / 127.5 - 1
