"""The arrays of Keras-Hub's PaliGemma, SigLIP and Gemma presets.

Keras names a place in a weights file by the attributes that lead to a layer
and, within a list, by its class and a number that the first one lacks. The
keys here write that as `class.{i}`; `normalise_keys` brings a file's keys into
this form.
"""

import re

from keras_paligemma.checkpoints.table import Row

VIT = "layers/pali_gemma_vit/layers/"
VIT_ENCODER = f"{VIT}pali_gemma_vit_encoder/"
VIT_LAYER = f"{VIT_ENCODER}resblocks/pali_gemma_vit_encoder_block.{{i}}/"
SIGLIP = "layers/sig_lip_vision_encoder/layers/"
SIGLIP_LAYER = f"{SIGLIP}sig_lip_encoder_layer.{{i}}/"
TEXT_LAYER = "layers/decoder_block.{i}/"

# Classes that stand in lists, and what the tables call them.
LISTED = {
    "pali_gemma_decoder_block": "decoder_block",
    "gemma_decoder_block": "decoder_block",
    "pali_gemma_vit_encoder_block": "pali_gemma_vit_encoder_block",
    "sig_lip_encoder_layer": "sig_lip_encoder_layer",
}
LISTED_PATTERN = re.compile(rf"(?<=/)({'|'.join(LISTED)})(?:_(\d+))?(?=/)")

# The state of dropout's random numbers, and that of the optimizer of a model
# which was trained before it was saved: no weights.
IGNORED = (r".*/seed_generator/vars/\d+", r"optimizer/.*")
# SigLIP's text tower, pooling head, loss and the row of position numbers.
IGNORED_BESIDE_IMAGE_ENCODER = (
    r"layers/sig_lip_(text_encoder|head)/.*",
    rf"{SIGLIP}sig_lip_multi_head_attention_pooling/.*",
    rf"{SIGLIP}sig_lip_vision_embedding/vars/0",
)
# What the other components of a PaliGemma have.
PART_KEYS = {
    "image_encoder": (rf"{VIT_ENCODER}.*",),
    "projector": (rf"{VIT}dense/.*",),
    "decoder": (
        r"layers/decoder_block\..*",
        r"layers/(reversible_embedding|rms_normalization)/.*",
    ),
}


def _norm(path, key):
    return (
        Row(f"{path}/gamma", f"{key}/vars/0", "vit_dim"),
        Row(f"{path}/beta", f"{key}/vars/1", "vit_dim"),
    )


def _dense(path, key, inputs, outputs):
    return (
        Row(f"{path}/kernel", f"{key}/vars/0", f"{inputs} {outputs}", (1, 0)),
        Row(f"{path}/bias", f"{key}/vars/1", outputs),
    )


def _patches(key):
    return (
        Row(
            "image_encoder/patch_embedding/kernel",
            f"{key}/patch_embedding/vars/0",
            "patch_size patch_size 3 vit_dim",
            (3, 0, 1, 2),
        ),
        Row(
            "image_encoder/patch_embedding/bias",
            f"{key}/patch_embedding/vars/1",
            "vit_dim",
        ),
        Row(
            "image_encoder/position_embedding",
            f"{key}/position_embedding/vars/0",
            "num_patches vit_dim",
        ),
    )


BLOCK = "image_encoder/block_{i}"
VIT_ROWS = (
    *_patches(f"{VIT_ENCODER}vision_embeddings"),
    *_norm(f"{BLOCK}/attention_norm", f"{VIT_LAYER}layer_norm_1"),
    *(
        row
        for ours, theirs in (
            ("query", "query_proj"),
            ("key", "key_proj"),
            ("value", "value_proj"),
            ("output", "out_proj"),
        )
        for row in _dense(
            f"{BLOCK}/attention/{ours}_dense",
            f"{VIT_LAYER}attn/{theirs}",
            "vit_dim",
            "vit_dim",
        )
    ),
    *_norm(f"{BLOCK}/feedforward_norm", f"{VIT_LAYER}layer_norm_2"),
    *_dense(
        f"{BLOCK}/feedforward/input_dense",
        f"{VIT_LAYER}mlp_dense_1",
        "vit_dim",
        "vit_mlp_dim",
    ),
    *_dense(
        f"{BLOCK}/feedforward/output_dense",
        f"{VIT_LAYER}mlp_dense_2",
        "vit_mlp_dim",
        "vit_dim",
    ),
    *_norm("image_encoder/final_norm", f"{VIT_ENCODER}encoder_layer_norm"),
)
SIGLIP_ROWS = (
    *_patches(f"{SIGLIP}sig_lip_vision_embedding"),
    *_norm(f"{BLOCK}/attention_norm", f"{SIGLIP_LAYER}layer_norm1"),
    *(
        row
        for name in ("query", "key", "value")
        for row in (
            Row(
                f"{BLOCK}/attention/{name}_dense/kernel",
                f"{SIGLIP_LAYER}self_attn/{name}_dense/vars/0",
                "vit_dim vit_heads vit_head_dim",
                (1, 2, 0),
            ),
            Row(
                f"{BLOCK}/attention/{name}_dense/bias",
                f"{SIGLIP_LAYER}self_attn/{name}_dense/vars/1",
                "vit_heads vit_head_dim",
            ),
        )
    ),
    Row(
        f"{BLOCK}/attention/output_dense/kernel",
        f"{SIGLIP_LAYER}self_attn/output_dense/vars/0",
        "vit_heads vit_head_dim vit_dim",
        (2, 0, 1),
    ),
    Row(
        f"{BLOCK}/attention/output_dense/bias",
        f"{SIGLIP_LAYER}self_attn/output_dense/vars/1",
        "vit_dim",
    ),
    *_norm(f"{BLOCK}/feedforward_norm", f"{SIGLIP_LAYER}layer_norm2"),
    *_dense(
        f"{BLOCK}/feedforward/input_dense",
        f"{SIGLIP_LAYER}mlp/fc1",
        "vit_dim",
        "vit_mlp_dim",
    ),
    *_dense(
        f"{BLOCK}/feedforward/output_dense",
        f"{SIGLIP_LAYER}mlp/fc2",
        "vit_mlp_dim",
        "vit_dim",
    ),
    *_norm("image_encoder/final_norm", f"{SIGLIP}layer_normalization"),
)
PROJECTOR = _dense("projector", f"{VIT}dense", "vit_dim", "dim")
EMBEDDING = (
    Row(
        "embedding/embeddings",
        "layers/reversible_embedding/vars/0",
        "vocabulary dim",
    ),
)


def _text(path, key, shape, axes=None):
    path = f"decoder/block_{{i}}/{path}"
    return Row(path, f"{TEXT_LAYER}{key}/vars/0", shape, axes)


DECODER = (
    _text("attention_norm/scale", "pre_attention_norm", "dim"),
    _text(
        "attention/query_dense/kernel",
        "attention/query_dense",
        "heads dim head_dim",
        (0, 2, 1),
    ),
    _text(
        "attention/key_dense/kernel",
        "attention/key_dense",
        "kv_heads dim head_dim",
        (0, 2, 1),
    ),
    _text(
        "attention/value_dense/kernel",
        "attention/value_dense",
        "kv_heads dim head_dim",
        (0, 2, 1),
    ),
    _text(
        "attention/output_dense/kernel",
        "attention/output_dense",
        "heads head_dim dim",
        (2, 0, 1),
    ),
    _text("post_attention_norm/scale", "post_attention_norm", "dim"),
    _text("feedforward_norm/scale", "pre_ffw_norm", "dim"),
    _text("feedforward/gate_dense/kernel", "gating_ffw", "dim mlp_dim", (1, 0)),
    _text("feedforward/up_dense/kernel", "gating_ffw_2", "dim mlp_dim", (1, 0)),
    _text("feedforward/down_dense/kernel", "ffw_linear", "mlp_dim dim", (1, 0)),
    _text("post_feedforward_norm/scale", "post_ffw_norm", "dim"),
    Row("decoder/final_norm/scale", "layers/rms_normalization/vars/0", "dim"),
)


def table(backbone):
    """The table for a backbone class of Keras-Hub, as `"PaliGemmaBackbone"`."""
    vision = SIGLIP_ROWS if backbone == "SigLIPBackbone" else VIT_ROWS
    return vision + PROJECTOR + EMBEDDING + DECODER


def normalise_keys(arrays):
    """Renames the arrays of a weights file to the names of the table."""
    return {normalise_key(key): array for key, array in arrays.items()}


def normalise_key(key):
    """The name that the table uses for a key of a weights file."""
    key = key.replace("_layer_checkpoint_dependencies/", "layers/")
    return LISTED_PATTERN.sub(
        lambda match: f"{LISTED[match[1]]}.{match[2] or 0}", key
    )
