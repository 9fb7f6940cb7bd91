"""The published PaliGemmas: their names and sizes, known without a download.

Sizes are those of arXiv 2407.07726 and 2412.03555, and of the configs of
big_vision; a test compares the number of parameters with Keras-Hub's table.
"""

import re

import keras_hub

from keras_paligemma.checkpoints.canonical import intermediate_dim_of

IMAGE_ENCODER = {
    "vit_patch_size": 14,
    "vit_num_heads": 16,
    "vit_hidden_dim": 1152,
    "vit_num_layers": 27,
    "vit_intermediate_dim": 4304,
}
GENERATION_2 = {
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
    "attention_logit_soft_cap": 50.0,
    "final_logit_soft_cap": 30.0,
}
DECODER_FIELDS = (
    "num_layers",
    "hidden_dim",
    "num_query_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_dim",
)
DECODERS = {
    (1, "3b"): (18, 2048, 8, 1, 256, intermediate_dim_of(16384)),
    (2, "3b"): (26, 2304, 8, 4, 256, intermediate_dim_of(9216)),
    (2, "10b"): (42, 3584, 16, 8, 256, intermediate_dim_of(14336)),
    (2, "28b"): (46, 4608, 32, 16, 128, intermediate_dim_of(36864)),
}
# Names are written in several orders: pali_gemma2_pt_3b_224, Keras-Hub's, is
# also pali_gemma2_3b_pt_224 and pali_gemma2_3b_224.
NAME = re.compile(r"pali_?gemma(?P<generation>_?2)?_(?P<rest>[a-z0-9_]+)")


def published_presets():
    """The published PaliGemmas, as Keras-Hub's table of name to entry."""
    return dict(keras_hub.models.PaliGemmaBackbone.presets)


def published_name(name):
    """Keras-Hub's name of a preset however its parts are ordered.

    Args:
        name: string. As `"pali_gemma2_3b_pt_224"` or `"pali_gemma2_3b_224"`.

    Returns:
        The name in Keras-Hub's table, or `None` if there is no such preset.

    Example:
    ```python
    published_name("pali_gemma2_3b_224")  # "pali_gemma2_pt_3b_224"
    ```
    """
    wanted = _parts(name)
    if wanted is None:
        return None
    for known in published_presets():
        if _parts(known) == wanted:
            return known
    return None


def published_arguments(name):
    """Constructor arguments of a published preset's backbone.

    Args:
        name: string. As for `published_name`.

    Returns:
        dict, or `None` if there is no such preset.
    """
    if published_name(name) is None:
        return None
    generation, size, image_size, _ = _parts(name)
    decoder = dict(zip(DECODER_FIELDS, DECODERS[generation, size], strict=True))
    return {
        "vocabulary_size": 257152,
        "image_size": image_size,
        **decoder,
        **IMAGE_ENCODER,
        **(GENERATION_2 if generation == 2 else {}),
        # Gemma 2 27B divides queries by width over heads.
        "query_head_dim_normalize": size != "28b",
    }


def _parts(name):
    """Generation, size, pixels and kind (`"pt"`, `"mix"`, ...) of a name."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    generation = 2 if match["generation"] else 1
    words = match["rest"].split("_")
    sizes = [w for w in words if re.fullmatch(r"\d+b", w)]
    pixels = [w for w in words if w in ("224", "448", "896")]
    if len(sizes) != 1 or len(pixels) != 1:
        return None
    if (generation, sizes[0]) not in DECODERS:
        return None
    kind = [w for w in words if w not in (sizes[0], pixels[0], "pt")]
    return generation, sizes[0], int(pixels[0]), tuple(kind)
