"""Bytes that blocks keep for the backward pass, and that they work with.

The counts of tensors are what XLA keeps of the layers as they are written,
found by compiling models that differ in one size; with `remat`, JAX keeps the
inputs of each block alone. A test compares the sums with XLA's own.
"""

import dataclasses

# Tensors as wide as the block: inputs, normalised inputs (both in the compute
# dtype), results of attention; and of each norm one in float32.
IMAGE_WIDTHS = 3
DECODER_WIDTHS = 4
# Matrices of attention, all float32 but the last, which meets the values.
IMAGE_SCORES = 5
DECODER_SCORES = 3
# As wide as the feed-forward: before, in and after the activation; in the
# decoder also the second half and the product.
IMAGE_FEEDFORWARD = 3
DECODER_FEEDFORWARD = 5
# What only gradients of kernels need, not kept where those are frozen or have
# LoRA: results of activations, inputs of products.
IMAGE_FOR_KERNELS = (3, 1)
DECODER_FOR_KERNELS = (2, 2)
# Gradients that exist at once in the backward pass of a block.
WORKING_SCORES = 2
WORKING_FEEDFORWARD = 2
WORKING_WIDTHS = 3


@dataclasses.dataclass(frozen=True)
class BlockBytes:
    """Bytes of one block's activations.

    Attributes:
        name: string. Its group of variables.
        inputs: int. What enters it: all that is kept with `remat`.
        kept: int. All that is kept without, `inputs` included.
        working: int. What its backward pass needs beside, for a moment.
    """

    name: str
    inputs: int
    kept: int
    working: int


def block_activations(arguments, settings):
    """The blocks in the order in which they run.

    Args:
        arguments: dict. Constructor arguments of the backbone.
        settings: `MemorySettings`.

    Returns:
        List of `BlockBytes`: of the image encoder, then of the decoder.
    """
    patches = (arguments["image_size"] // arguments["vit_patch_size"]) ** 2
    images = settings.batch_size * settings.num_images
    dim = arguments["vit_hidden_dim"]
    image_block = _block(
        settings,
        tokens=images * patches,
        queries=images * patches,
        keys=patches,
        dim=dim,
        norms=2,
        for_kernels=_for_kernels("image_encoder", settings, IMAGE_FOR_KERNELS),
        widths=IMAGE_WIDTHS,
        # Queries, keys and values, and what attention makes of them.
        projected=4 * dim,
        feedforward=IMAGE_FEEDFORWARD * arguments["vit_intermediate_dim"],
        working_feedforward=arguments["vit_intermediate_dim"],
        heads=arguments["vit_num_heads"],
        scores=IMAGE_SCORES,
    )
    length = patches * settings.num_images + settings.text_length
    decoder = {
        "keys": length,
        "dim": arguments["hidden_dim"],
        "norms": 2
        + bool(arguments.get("use_post_attention_norm"))
        + bool(arguments.get("use_post_ffw_norm")),
        "for_kernels": _for_kernels("decoder", settings, DECODER_FOR_KERNELS),
        "widths": DECODER_WIDTHS,
        "projected": arguments["head_dim"]
        * (
            2 * arguments["num_query_heads"]
            + 2 * arguments["num_key_value_heads"]
        ),
        "feedforward": DECODER_FEEDFORWARD * arguments["intermediate_dim"] // 2,
        "working_feedforward": arguments["intermediate_dim"] // 2,
        "heads": arguments["num_query_heads"],
        "scores": DECODER_SCORES
        + bool(arguments.get("attention_logit_soft_cap")),
    }
    tokens = settings.batch_size * length
    text = settings.batch_size * settings.text_length
    decoder_block = _block(settings, tokens=tokens, queries=tokens, **decoder)
    # Behind it only text counts, so that only text asks.
    last = _block(settings, tokens=tokens, queries=text, **decoder)
    blocks = [
        ("image_encoder", image_block, arguments["vit_num_layers"]),
        ("decoder", decoder_block, arguments["num_layers"] - 1),
    ]
    named = [
        dataclasses.replace(block, name=f"{component}/block_{i}")
        for component, block, count in blocks
        for i in range(count)
    ]
    name = f"decoder/block_{arguments['num_layers'] - 1}"
    return [*named, dataclasses.replace(last, name=name)]


def _for_kernels(component, settings, counts):
    """Tensors of width and of feed-forward width that are not kept."""
    trained = settings.lora_rank is None and component not in settings.frozen
    return (0, 0) if trained else counts


def _block(
    settings,
    tokens,
    queries,
    keys,
    dim,
    norms,
    for_kernels,
    widths,
    projected,
    feedforward,
    working_feedforward,
    heads,
    scores,
):
    """A block of so many `tokens`, of which `queries` ask `keys` each."""
    compute = settings.compute_bytes
    inputs = tokens * dim * compute
    widths -= for_kernels[0]
    feedforward -= for_kernels[1] * working_feedforward
    matrix = 0 if settings.fused_attention else queries * heads * keys
    row = (widths * dim + projected + feedforward) * compute + norms * dim * 4
    kept = queries * row + (tokens - queries) * dim * (compute + 4)
    kept += matrix * (4 * (scores - 1) + compute)
    working = matrix * 4 * WORKING_SCORES
    working += (
        queries
        * compute
        * (WORKING_FEEDFORWARD * working_feedforward + WORKING_WIDTHS * dim)
    )
    return BlockBytes(
        name="",
        inputs=inputs,
        kept=kept,
        working=working,
    )
