"""The arrays of Transformers' PaliGemma, SigLIP and Gemma checkpoints."""

import re

from keras_paligemma.checkpoints.arrays import same_values
from keras_paligemma.checkpoints.table import Row

# Every spelling in use of where a part of the model lies; the first pattern
# that matches decides. The tables below are written in the names on the
# right. `vision.` and `text.` are ours: no checkpoint has them.
SPELLINGS = (
    (r"(model\.)?language_model\.lm_head\.", "text.lm_head."),
    (r"(model\.)?lm_head\.", "text.lm_head."),
    (r"language_model\.model\.", "text."),
    (r"model\.language_model\.(model\.)?", "text."),
    (r"(model\.)?vision_tower\.(vision_model\.)?", "vision."),
    (r"(model\.)?multi_modal_projector\.", "projector."),
    # The unimodal checkpoints: SiglipModel, SiglipVisionModel, Gemma.
    (r"(model\.)?vision_model\.", "vision."),
    (r"(?=(embeddings|encoder|post_layernorm|head)\.)", "vision."),
    (r"model\.(?=(embed_tokens|layers|norm)\.)", "text."),
    (r"(?=(embed_tokens|layers|norm)\.)", "text."),
)

# The head pools the image to one vector, which PaliGemma does not use.
IGNORED = (
    r"vision\.head\..*",
    r"vision\.embeddings\.position_ids",
    r"text\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
    r"text\.rotary_emb\.inv_freq",
)
IGNORED_BESIDE_IMAGE_ENCODER = (r"text_model\..*", r"logit_(scale|bias)")

VISION_LAYER = "vision.encoder.layers.{i}."
TEXT_LAYER = "text.layers.{i}."


def _vision_dense(path, key, output, inputs):
    path = f"image_encoder/block_{{i}}/{path}"
    return (
        Row(
            f"{path}/kernel",
            f"{VISION_LAYER}{key}.weight",
            f"{output} {inputs}",
        ),
        Row(f"{path}/bias", f"{VISION_LAYER}{key}.bias", output),
    )


def _norm(path, key):
    return (
        Row(f"{path}/gamma", f"{key}.weight", "vit_dim"),
        Row(f"{path}/beta", f"{key}.bias", "vit_dim"),
    )


def _text(path, key, shape):
    return Row(
        f"decoder/block_{{i}}/{path}", f"{TEXT_LAYER}{key}.weight", shape
    )


IMAGE_ENCODER = (
    Row(
        "image_encoder/patch_embedding/kernel",
        "vision.embeddings.patch_embedding.weight",
        "vit_dim 3 patch_size patch_size",
        (0, 2, 3, 1),
    ),
    Row(
        "image_encoder/patch_embedding/bias",
        "vision.embeddings.patch_embedding.bias",
        "vit_dim",
    ),
    Row(
        "image_encoder/position_embedding",
        "vision.embeddings.position_embedding.weight",
        "num_patches vit_dim",
    ),
    *_norm(
        "image_encoder/block_{i}/attention_norm", VISION_LAYER + "layer_norm1"
    ),
    *_vision_dense(
        "attention/query_dense", "self_attn.q_proj", "vit_dim", "vit_dim"
    ),
    *_vision_dense(
        "attention/key_dense", "self_attn.k_proj", "vit_dim", "vit_dim"
    ),
    *_vision_dense(
        "attention/value_dense", "self_attn.v_proj", "vit_dim", "vit_dim"
    ),
    *_vision_dense(
        "attention/output_dense", "self_attn.out_proj", "vit_dim", "vit_dim"
    ),
    *_norm(
        "image_encoder/block_{i}/feedforward_norm", VISION_LAYER + "layer_norm2"
    ),
    *_vision_dense(
        "feedforward/input_dense", "mlp.fc1", "vit_mlp_dim", "vit_dim"
    ),
    *_vision_dense(
        "feedforward/output_dense", "mlp.fc2", "vit_dim", "vit_mlp_dim"
    ),
    *_norm("image_encoder/final_norm", "vision.post_layernorm"),
)
PROJECTOR = (
    Row("projector/kernel", "projector.linear.weight", "dim vit_dim"),
    Row("projector/bias", "projector.linear.bias", "dim"),
)
EMBEDDING = (
    Row("embedding/embeddings", "text.embed_tokens.weight", "vocabulary+ dim"),
)
DECODER = (
    _text("attention_norm/scale", "input_layernorm", "dim"),
    _text(
        "attention/query_dense/kernel", "self_attn.q_proj", "heads*head_dim dim"
    ),
    _text(
        "attention/key_dense/kernel",
        "self_attn.k_proj",
        "kv_heads*head_dim dim",
    ),
    _text(
        "attention/value_dense/kernel",
        "self_attn.v_proj",
        "kv_heads*head_dim dim",
    ),
    _text(
        "attention/output_dense/kernel",
        "self_attn.o_proj",
        "dim heads*head_dim",
    ),
    _text("feedforward/gate_dense/kernel", "mlp.gate_proj", "mlp_dim dim"),
    _text("feedforward/up_dense/kernel", "mlp.up_proj", "mlp_dim dim"),
    _text("feedforward/down_dense/kernel", "mlp.down_proj", "dim mlp_dim"),
    Row("decoder/final_norm/scale", "text.norm.weight", "dim"),
)
# One name, two meanings: in Gemma `post_attention_layernorm` comes after the
# residual, before the feed-forward; in Gemma 2 before the residual.
GEMMA_NORMS = (
    _text("feedforward_norm/scale", "post_attention_layernorm", "dim"),
)
GEMMA2_NORMS = (
    _text("post_attention_norm/scale", "post_attention_layernorm", "dim"),
    _text("feedforward_norm/scale", "pre_feedforward_layernorm", "dim"),
    _text("post_feedforward_norm/scale", "post_feedforward_layernorm", "dim"),
)


def table(arguments):
    """The table for the model that `arguments` describe."""
    post_norms = arguments.get("use_post_attention_norm")
    norms = GEMMA2_NORMS if post_norms else GEMMA_NORMS
    return IMAGE_ENCODER + PROJECTOR + EMBEDDING + DECODER + norms


def normalise_keys(arrays):
    """Renames the arrays of a file to the names that the table uses.

    Args:
        arrays: dict of key to `LazyArray`, in any spelling.

    Returns:
        A dict of the same arrays; keys of no known part keep their name.

    Raises:
        ValueError: if two keys are spellings of the same array.
    """
    renamed = {}
    for key, array in arrays.items():
        name = normalise_key(key)
        if name in renamed:
            raise ValueError(
                "Two arrays are spellings of one; remove one of them. "
                f"Received: {renamed[name].source} and {array.source}"
            )
        renamed[name] = array
    return renamed


def normalise_key(key):
    """The name that the table uses for a key, as `text.norm.weight`."""
    for pattern, name in SPELLINGS:
        match = re.match(pattern, key)
        if match:
            return name + key[match.end() :]
    return key


def tie_embeddings(arrays, vocabulary_size):
    """Reduces output and input embedding to the input embedding.

    Files hold `lm_head`, `embed_tokens`, or both.

    Args:
        arrays: dict of key to `LazyArray`, as `normalise_keys` returns.
        vocabulary_size: int. How many rows the model takes.

    Returns:
        The dict with `text.embed_tokens.weight` alone.

    Raises:
        ValueError: if both are there and differ.
    """
    arrays = dict(arrays)
    head = arrays.pop("text.lm_head.weight", None)
    if head is None:
        return arrays
    tokens = arrays.setdefault("text.embed_tokens.weight", head)
    if tokens is head:
        return arrays
    rows = min(vocabulary_size, tokens.num_rows)
    short = head.num_rows < rows or head.shape[1:] != tokens.shape[1:]
    if short or not same_values(tokens.rows(0, rows), head.rows(0, rows)):
        raise ValueError(
            "PaliGemma's output and input embedding are one array, but the "
            "checkpoint holds two that differ; it was trained untied and "
            f"cannot be loaded. Received: {tokens.source} of shape "
            f"{tokens.shape} and {head.source} of shape {head.shape}"
        )
    return arrays
