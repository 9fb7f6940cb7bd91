"""Who may attend to whom, and at which position each token stands."""

from keras import ops


def prefix_lm_mask(valid, causal):
    """Attention mask of a prefix language model.

    Tokens see every valid token of their own block and of earlier ones. A
    token that is `causal` begins a block of its own; the others belong to
    the block of the token before them. Here `valid` is big_vision's
    `input_mask` and `causal` its `mask_ar`.

    Args:
        valid: int or bool tensor `[batch, length]`. 1 for a token, 0 for
            padding.
        causal: int or bool tensor `[batch, length]`. 1 for a token that the
            tokens before it must not see: suffix and EOS.

    Returns:
        bool tensor `[batch, length, length]`: may the row's token see the
        column's.

    Example: two prefix tokens, two suffix tokens, one padding.
    ```python
    prefix_lm_mask([[1, 1, 1, 1, 0]], [[0, 0, 1, 1, 0]])
    # [[[1, 1, 0, 0, 0],
    #   [1, 1, 0, 0, 0],
    #   [1, 1, 1, 0, 0],
    #   [1, 1, 1, 1, 0],
    #   [1, 1, 1, 1, 0]]]
    ```
    """
    block = ops.cumsum(ops.cast(causal, "int32"), axis=1)
    seen = ops.expand_dims(block, 1) <= ops.expand_dims(block, 2)
    return ops.logical_and(seen, ops.expand_dims(ops.cast(valid, "bool"), 1))


def token_positions(valid):
    """Counts the valid tokens before each one; padding has no place.

    Args:
        valid: int or bool tensor `[batch, length]`. 1 for a token, 0 for
            padding.

    Returns:
        int32 tensor `[batch, length]`.

    Example:
    ```python
    token_positions([[1, 1, 0, 0, 1, 1]])  # [[0, 1, 1, 1, 2, 3]]
    ```
    """
    count = ops.cumsum(ops.cast(valid, "int32"), axis=1)
    return ops.maximum(ops.cast(count, "int32") - 1, 0)


def within_window(mask, query_positions, key_positions, window):
    """Hides keys that are `window` or more positions away, on either side.

    Args:
        mask: bool tensor `[batch, queries, keys]`.
        query_positions: int tensor `[batch, queries]`.
        key_positions: int tensor `[batch, keys]`.
        window: int. Gemma 2: 4096.

    Returns:
        bool tensor of the shape of `mask`.
    """
    distance = ops.abs(
        ops.expand_dims(query_positions, 2) - ops.expand_dims(key_positions, 1)
    )
    return ops.logical_and(mask, distance < window)
