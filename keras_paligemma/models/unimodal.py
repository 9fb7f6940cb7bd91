"""Stage 0: a PaliGemma's arrays from a SigLIP's and a Gemma's."""

import numpy as np

from keras_paligemma.checkpoints import LazyArray
from keras_paligemma.checkpoints import open_decoder
from keras_paligemma.checkpoints import open_image_encoder

NEW_TOKENS = 1024 + 128
NEW_TOKEN_STDDEV = 0.02


def assemble(image_encoder, decoder, seed=None):
    """Joins two checkpoints into one.

    Args:
        image_encoder: string. Handle of a SigLIP or a PaliGemma.
        decoder: string. Handle of a Gemma 1 or 2, or a PaliGemma, whose
            vocabulary then has the new tokens already.
        seed: int or `None`. Of the new tokens' embeddings.

    Returns:
        Constructor arguments, and a dict of canonical path to `LazyArray`.
    """
    encoder_part = open_image_encoder(image_encoder)
    decoder_part = open_decoder(decoder)
    arguments = {**encoder_part.arguments, **decoder_part.arguments}
    arrays = {**encoder_part.arrays, **decoder_part.arrays}
    if not decoder_part.has_location_tokens:
        table = arrays["embedding/embeddings"]
        arrays["embedding/embeddings"] = with_new_rows(table, seed)
        arguments["vocabulary_size"] = table.shape[0] + NEW_TOKENS
    shape = (arguments["hidden_dim"], arguments["vit_hidden_dim"])
    arrays["projector/kernel"] = LazyArray.from_numpy(
        np.zeros(shape, "float32"), "new projector"
    )
    arrays["projector/bias"] = LazyArray.from_numpy(
        np.zeros(shape[:1], "float32"), "new projector"
    )
    return arguments, arrays


def with_new_rows(table, seed=None):
    """Appends the rows of the location and segmentation tokens.

    Args:
        table: `LazyArray` `[vocabulary, hidden_dim]`.
        seed: int or `None`.

    Returns:
        `LazyArray` `[vocabulary + 1152, hidden_dim]` of the table's dtype.
    """
    old, dim = table.shape
    generator = np.random.default_rng(seed)
    rows = generator.normal(0.0, NEW_TOKEN_STDDEV, (NEW_TOKENS, dim))
    rows = rows.astype("float32").astype(table.dtype)

    def load(start, stop):
        return np.concatenate(
            [
                table.read_rows(min(start, old), min(stop, old)),
                rows[max(start - old, 0) : max(stop - old, 0)],
            ]
        )

    source = f"{table.source}, and rows of the new tokens"
    return LazyArray((old + NEW_TOKENS, dim), table.dtype, source, load)
