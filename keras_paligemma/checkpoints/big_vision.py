"""The arrays of big_vision's PaliGemma, SigLIP and Gemma checkpoints."""

from keras_paligemma.checkpoints.table import Row

# Beside the parameters a training checkpoint holds the optimizer's state.
IGNORED = (r"opt/.*", r"chrono/.*", r"step")
# The text tower, the pooling head and the loss' scale and bias of a SigLIP.
IGNORED_BESIDE_IMAGE_ENCODER = (
    r"img/MAPHead_0/.*",
    r"img/head/.*",
    r"txt/.*",
    r"t",
    r"b",
    r"llm/.*",
)
IGNORED_BESIDE_DECODER = (r"img/.*",)

VISION_STACKED = "img/Transformer/encoderblock/"
VISION_SINGLE = "img/Transformer/encoderblock_{i}/"
TEXT_STACKED = "llm/layers/"
TEXT_SINGLE = "llm/layers/{i}/"

EMBEDDING = (
    Row(
        "embedding/embeddings",
        "llm/embedder/input_embedding",
        "vocabulary+ dim",
    ),
)
PROJECTOR = (
    Row("projector/kernel", "img/head/kernel", "vit_dim dim", (1, 0)),
    Row("projector/bias", "img/head/bias", "dim"),
)
# Paths and keys in one layer, the shape without the stack, and the axes.
VISION_ATTENTION = "MultiHeadDotProductAttention_0"
VISION_LAYER = (
    ("attention_norm/gamma", "LayerNorm_0/scale", "vit_dim", None),
    ("attention_norm/beta", "LayerNorm_0/bias", "vit_dim", None),
    *(
        row
        for name in ("query", "key", "value")
        for row in (
            (
                f"attention/{name}_dense/kernel",
                f"{VISION_ATTENTION}/{name}/kernel",
                "vit_dim vit_heads vit_head_dim",
                (1, 2, 0),
            ),
            (
                f"attention/{name}_dense/bias",
                f"{VISION_ATTENTION}/{name}/bias",
                "vit_heads vit_head_dim",
                None,
            ),
        )
    ),
    (
        "attention/output_dense/kernel",
        f"{VISION_ATTENTION}/out/kernel",
        "vit_heads vit_head_dim vit_dim",
        (2, 0, 1),
    ),
    (
        "attention/output_dense/bias",
        f"{VISION_ATTENTION}/out/bias",
        "vit_dim",
        None,
    ),
    ("feedforward_norm/gamma", "LayerNorm_1/scale", "vit_dim", None),
    ("feedforward_norm/beta", "LayerNorm_1/bias", "vit_dim", None),
    (
        "feedforward/input_dense/kernel",
        "MlpBlock_0/Dense_0/kernel",
        "vit_dim vit_mlp_dim",
        (1, 0),
    ),
    (
        "feedforward/input_dense/bias",
        "MlpBlock_0/Dense_0/bias",
        "vit_mlp_dim",
        None,
    ),
    (
        "feedforward/output_dense/kernel",
        "MlpBlock_0/Dense_1/kernel",
        "vit_mlp_dim vit_dim",
        (1, 0),
    ),
    (
        "feedforward/output_dense/bias",
        "MlpBlock_0/Dense_1/bias",
        "vit_dim",
        None,
    ),
)
VISION_ENDS = (
    Row(
        "image_encoder/patch_embedding/kernel",
        "img/embedding/kernel",
        "patch_size patch_size 3 vit_dim",
        (3, 0, 1, 2),
    ),
    Row("image_encoder/patch_embedding/bias", "img/embedding/bias", "vit_dim"),
    Row(
        "image_encoder/position_embedding",
        "img/pos_embedding",
        "0/1 num_patches vit_dim",
    ),
    Row(
        "image_encoder/final_norm/gamma",
        "img/Transformer/encoder_norm/scale",
        "vit_dim",
    ),
    Row(
        "image_encoder/final_norm/beta",
        "img/Transformer/encoder_norm/bias",
        "vit_dim",
    ),
)
TEXT_LAYER = (
    ("attention_norm/scale", "pre_attention_norm/scale", "dim", None),
    ("post_attention_norm/scale", "post_attention_norm/scale", "dim", None),
    ("feedforward_norm/scale", "pre_ffw_norm/scale", "dim", None),
    ("post_feedforward_norm/scale", "post_ffw_norm/scale", "dim", None),
    (
        "attention/output_dense/kernel",
        "attn/attn_vec_einsum/w",
        "heads head_dim dim",
        (2, 0, 1),
    ),
    ("feedforward/down_dense/kernel", "mlp/linear", "mlp_dim dim", (1, 0)),
)
GATING = (
    (
        "feedforward/gate_dense/kernel",
        "mlp/gating_einsum",
        "0/2 dim mlp_dim",
        (1, 0),
    ),
    (
        "feedforward/up_dense/kernel",
        "mlp/gating_einsum",
        "1/2 dim mlp_dim",
        (1, 0),
    ),
)
# Some releases of Gemma store the same product the other way round.
TRANSPOSED_GATING = (
    (
        "feedforward/gate_dense/kernel",
        "mlp/gating_einsum",
        "0/2 mlp_dim dim",
        None,
    ),
    (
        "feedforward/up_dense/kernel",
        "mlp/gating_einsum",
        "1/2 mlp_dim dim",
        None,
    ),
)
GROUPED_ATTENTION = (
    (
        "attention/query_dense/kernel",
        "attn/q_einsum/w",
        "heads dim head_dim",
        (0, 2, 1),
    ),
    (
        "attention/key_dense/kernel",
        "attn/kv_einsum/w",
        "0/2 kv_heads dim head_dim",
        (0, 2, 1),
    ),
    (
        "attention/value_dense/kernel",
        "attn/kv_einsum/w",
        "1/2 kv_heads dim head_dim",
        (0, 2, 1),
    ),
)
# With as many key and value heads as query heads there is one array.
JOINED_ATTENTION = tuple(
    (
        f"attention/{name}_dense/kernel",
        "attn/qkv_einsum/w",
        f"{index}/3 heads dim head_dim",
        (0, 2, 1),
    )
    for index, name in enumerate(("query", "key", "value"))
)
TEXT_ENDS = (Row("decoder/final_norm/scale", "llm/final_norm/scale", "dim"),)


def table(
    arguments,
    stacked_vision=True,
    stacked_text=True,
    transposed_gating=False,
):
    """The table for the model that `arguments` describe.

    Args:
        arguments: dict. Constructor arguments of the backbone or one half.
        stacked_vision: bool. Whether all layers of the image encoder lie in
            one array, as `nn.scan` leaves them.
        stacked_text: bool. The same for the decoder.
        transposed_gating: bool. Whether gate and up projection are stored
            `[out, in]`.

    Returns:
        A tuple of `Row`.
    """
    rows = PROJECTOR + EMBEDDING + VISION_ENDS + TEXT_ENDS
    rows += _layers(
        "image_encoder",
        VISION_STACKED if stacked_vision else VISION_SINGLE,
        VISION_LAYER,
        stacked_vision,
    )
    joined = arguments.get("num_query_heads") == arguments.get(
        "num_key_value_heads"
    )
    layer = TEXT_LAYER
    layer += TRANSPOSED_GATING if transposed_gating else GATING
    layer += JOINED_ATTENTION if joined else GROUPED_ATTENTION
    return rows + _layers(
        "decoder",
        TEXT_STACKED if stacked_text else TEXT_SINGLE,
        layer,
        stacked_text,
    )


def _layers(component, prefix, rows, stacked):
    return tuple(
        Row(
            f"{component}/block_{{i}}/{path}",
            prefix + key,
            f"layers {shape}" if stacked else shape,
            axes,
        )
        for path, key, shape, axes in rows
    )
