"""The two pure passes of decoding: prefill, and one step."""

from keras import ops

from keras_paligemma.layers.masks import prefix_lm_mask
from keras_paligemma.layers.masks import token_positions


def prefill(backbone, inputs, cache_length, all_hidden=False):
    """Reads images and prompts into a cache.

    Args:
        backbone: `PaliGemmaBackbone`.
        inputs: dict of tensors as `PromptBatch.tensors` gives them.
        cache_length: int. Slots of the cache: image and prompt tokens first,
            new tokens behind.
        all_hidden: bool. Whether to return the states of all text positions,
            not of the last alone.

    Returns:
        Hidden state of each row's last prompt token `[batch, hidden_dim]`
        (or of all text positions), and the context of `step`.
    """
    image_embeddings = backbone.projector(
        backbone.image_encoder(inputs["images"])
    )
    image_mask = ops.repeat(
        inputs["image_mask"], backbone.image_sequence_length, axis=1
    )
    decoder = backbone.decoder
    x, valid, causal = decoder.sequence(
        image_embeddings,
        backbone.token_embedding(inputs["token_ids"]),
        image_mask,
        inputs["padding_mask"],
        inputs["response_mask"],
    )
    length, text_length = x.shape[1], inputs["token_ids"].shape[1]
    shape = (
        ops.shape(x)[0],
        length,
        backbone.num_key_value_heads,
        backbone.head_dim,
    )
    empty = ops.zeros(shape, dtype=decoder.compute_dtype)
    hidden, cache = decoder.run(
        x,
        prefix_lm_mask(valid, causal),
        token_positions(valid),
        cache=[(empty, empty)] * backbone.num_layers,
        num_queries=text_length if all_hidden else 1,
    )
    room = ((0, 0), (0, cache_length - length), (0, 0), (0, 0))
    context = {
        "cache": [(ops.pad(k, room), ops.pad(v, room)) for k, v in cache],
        "valid": valid,
    }
    return hidden if all_hidden else hidden[:, -1], context


def step(backbone, token_ids, context, index):
    """Reads one new token a row.

    Args:
        backbone: `PaliGemmaBackbone`.
        token_ids: int tensor `[rows]`. The tokens decoded last.
        context: dict of `cache`, and of `valid` `[rows, prompt slots]`.
        index: int or int tensor. How many new tokens were read before.

    Returns:
        Hidden states `[rows, hidden_dim]`, and the new cache.
    """
    cache, prompt_valid = context["cache"], context["valid"]
    prompt_slots, slots = prompt_valid.shape[1], cache[0][0].shape[1]
    new_slots = ops.arange(slots - prompt_slots) <= index
    valid = ops.concatenate(
        [
            ops.cast(prompt_valid, "bool"),
            ops.broadcast_to(
                new_slots, (ops.shape(prompt_valid)[0], slots - prompt_slots)
            ),
        ],
        axis=1,
    )
    decoder = backbone.decoder
    x = decoder.scaled(backbone.token_embedding(token_ids[:, None]))
    position = ops.sum(ops.cast(prompt_valid, "int32"), axis=1) + index
    key_positions = None
    if decoder.sliding_window is not None:
        key_positions = token_positions(valid)
    hidden, cache = decoder.run(
        x,
        valid[:, None],
        position[:, None],
        cache=cache,
        cache_index=prompt_slots + index,
        key_positions=key_positions,
    )
    return hidden[:, 0], cache


def repeat_rows(context, times):
    """Repeats each row of a context, for beams and samples."""
    if times == 1:
        return context
    return {
        "cache": [
            (ops.repeat(k, times, axis=0), ops.repeat(v, times, axis=0))
            for k, v in context["cache"]
        ],
        "valid": ops.repeat(context["valid"], times, axis=0),
    }


def take_rows(cache, rows):
    """Gathers rows of a cache: which beam each new beam grew from."""
    return [
        (ops.take(k, rows, axis=0), ops.take(v, rows, axis=0)) for k, v in cache
    ]
