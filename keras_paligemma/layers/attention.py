"""Attention of queries over keys, with grouped heads and a soft cap."""

import keras
from keras import ops

from keras_paligemma.layers.linear import soft_capped

# Finite, so that a row that sees nothing (padding) stays a number.
HIDDEN = -2.3819763e38
# Up to this many keys, PyTorch's fused attention in bfloat16 on a CPU takes
# longer than products of matrices: forwards and backwards with 64 keys six
# times as long, with 320 keys 1.5 times (`tests/benchmarks/attention.py`).
FEW_KEYS = 512


def attend(query, key, value, mask, scale, soft_cap=None):
    """Grouped-query attention.

    Args:
        query: float tensor `[batch, queries, num_query_heads, head_dim]`.
        key: float tensor `[batch, keys, num_key_value_heads, head_dim]`.
        value: float tensor of the shape of `key`.
        mask: bool tensor `[batch, queries, keys]`, or `None` to see all.
        scale: float. Multiplies the query.
        soft_cap: float or `None`. `c` in `c * tanh(scores / c)` (Gemma 2:
            50).

    Returns:
        Tensor `[batch, queries, num_query_heads * head_dim]`.
    """
    if keras.config.backend() == "torch" and soft_cap is None:
        slow = query.device.type == "cpu" and key.shape[1] <= FEW_KEYS
        if slow and str(query.dtype) == "torch.bfloat16":
            return _torch_products(query, key, value, mask, scale)
        return _torch_attend(query, key, value, mask, scale)
    return plain_attend(query, key, value, mask, scale, soft_cap)


def plain_attend(query, key, value, mask, scale, soft_cap=None):
    """`attend` in `keras.ops` alone: what other forms must equal."""
    queries, (query_heads, head_dim) = ops.shape(query)[1], query.shape[2:]
    key_heads = key.shape[2]
    query = query * ops.cast(scale, query.dtype)
    grouped = ops.reshape(
        query,
        (-1, queries, key_heads, query_heads // key_heads, head_dim),
    )
    scores = ops.einsum("bqkgh,bskh->bkgqs", grouped, key)
    scores = soft_capped(ops.cast(scores, "float32"), soft_cap)
    if mask is not None:
        scores = ops.where(mask[:, None, None], scores, HIDDEN)
    weights = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
    mixed = ops.einsum("bkgqs,bskh->bqkgh", weights, value)
    return ops.reshape(mixed, (-1, queries, query_heads * head_dim))


def _torch_attend(query, key, value, mask, scale):
    import torch

    mixed = torch.nn.functional.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=None if mask is None else mask[:, None],
        scale=scale,
        enable_gqa=key.shape[2] != query.shape[2],
    )
    return mixed.transpose(1, 2).flatten(2)


def _torch_products(query, key, value, mask, scale):
    """`plain_attend`, with fewer passes over the scores.

    PyTorch's softmax of bfloat16 computes in float32.
    """
    batch, queries, query_heads, head_dim = query.shape
    keys, key_heads = key.shape[1:3]
    # The heads that share a key ask like more queries of one head.
    asked = (query * scale).transpose(1, 2)
    asked = asked.reshape(batch, key_heads, -1, head_dim)
    scores = asked @ key.permute(0, 2, 3, 1)
    scores = scores.view(batch, query_heads, queries, keys)
    if mask is not None:
        scores = scores.masked_fill_(~mask[:, None], HIDDEN)
    weights = scores.softmax(-1).view(batch, key_heads, -1, keys)
    mixed = weights @ value.transpose(1, 2)
    mixed = mixed.view(batch, query_heads, queries, head_dim)
    return mixed.transpose(1, 2).flatten(2)
