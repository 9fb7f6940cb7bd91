"""Cross-entropy that never holds the logits of all tokens.

With 257,152 tokens in the vocabulary, the logits are the largest thing that
a training step makes. Here tokens in the loss are scored a chunk at a time,
forwards and once more backwards; tokens outside the loss are not scored.
"""

import functools

from keras import ops

from keras_paligemma.layers.linear import vocabulary_logits
from keras_paligemma.layers.replicas import data_shards
from keras_paligemma.layers.response_crossentropy import token_losses

# Logits of a chunk: 66 MB in float32, which are 64 tokens of PaliGemma's
# vocabulary, and more of a smaller one; but the last chunk is scored to its
# end, and a few hundred tokens' logits stay in a processor's cache.
CHUNK_LOGITS = 64 * 257_152
MOST_TOKENS = 512


def chunk_size(vocabulary_size):
    """How many tokens are scored at a time."""
    return max(1, min(MOST_TOKENS, CHUNK_LOGITS // vocabulary_size))


def chunked_token_losses(
    hidden,
    embeddings,
    token_ids,
    mask,
    label_smoothing=0.0,
    soft_cap=None,
    chunk_tokens=None,
    train_embeddings=True,
):
    """Cross-entropy of each token in the loss, from hidden states.

    What `token_losses` gives on `vocabulary_logits(hidden, embeddings)`,
    gradients included, and whether the likeliest token is the right one.

    Args:
        hidden: float tensor `[batch, length, hidden_dim]`.
        embeddings: float tensor `[vocabulary, hidden_dim]`.
        token_ids: int tensor `[batch, length]`. The right tokens.
        mask: bool tensor `[batch, length]`. Which tokens are in the loss.
        label_smoothing: float. See `token_losses`.
        soft_cap: float or `None`. See `vocabulary_logits`.
        chunk_tokens: int or `None`. Tokens scored at a time; by default as
            `chunk_size` has it.
        train_embeddings: bool. Whether `embeddings` get a gradient. For
            frozen ones it costs the memory of the table and a third of the
            time for nothing.

    Returns:
        float32 tensor `[batch, length, 2]`: the loss of each token, and 1
        where the likeliest token is the right one. Zero outside the loss.

    Example:
    ```python
    results = chunked_token_losses(hidden, embeddings, token_ids, mask)
    loss = reduce_token_losses(results[..., 0], mask)
    ```
    """
    batch, length = ops.shape(token_ids)
    mask = ops.cast(mask, "bool")
    score = functools.partial(
        _token_results,
        embeddings=embeddings,
        smoothing=label_smoothing,
        soft_cap=soft_cap,
        chunk_tokens=chunk_tokens or chunk_size(embeddings.shape[0]),
        trained=train_embeddings,
    )
    # TensorFlow may not know the batch size yet.
    shards = data_shards(batch) if isinstance(batch, int) else 1
    if shards == 1:
        count = ops.sum(ops.cast(mask, "int32"))
        return score(hidden, token_ids, mask, count=count)
    # Each device sorts and scores the tokens of its own examples: sorted
    # together, every device would have to score all of them.
    import jax

    parts = [
        ops.reshape(x, (shards, batch // shards, *x.shape[1:]))
        for x in (hidden, token_ids, mask)
    ]
    counts = ops.sum(ops.cast(parts[-1], "int32"), axis=(1, 2))
    results = jax.vmap(functools.partial(score, count=ops.max(counts)))(*parts)
    return ops.reshape(results, (batch, length, 2))


def _token_results(
    hidden,
    token_ids,
    mask,
    count,
    embeddings,
    smoothing,
    soft_cap,
    chunk_tokens,
    trained,
):
    """What `chunked_token_losses` returns, if `count` tokens are scored."""
    batch, length = ops.shape(token_ids)
    count_all = batch * length
    width = hidden.shape[-1]
    known = isinstance(count_all, int)
    chunk = min(chunk_tokens, count_all) if known else chunk_tokens
    mask = ops.reshape(mask, (-1,))
    # Tokens in the loss first, so that the loop may end behind the last.
    order = ops.argsort(ops.cast(ops.logical_not(mask), "int32"))
    padding = -count_all % chunk
    rows = ops.take(ops.reshape(hidden, (-1, width)), order, axis=0)
    empty = ops.zeros((padding, width), rows.dtype)
    rows = ops.concatenate([rows, empty])
    targets = ops.reshape(ops.cast(token_ids, "int32"), (-1,))
    targets = ops.concatenate(
        [ops.take(targets, order), ops.zeros((padding,), "int32")]
    )
    losses = _sorted_losses(
        rows, embeddings, targets, count, smoothing, soft_cap, chunk, trained
    )
    results = ops.take(losses[:count_all], ops.argsort(order), axis=0)
    results = results * ops.cast(mask, "float32")[:, None]
    return ops.reshape(results, (batch, length, 2))


def _sorted_losses(
    rows, embeddings, targets, count, smoothing, soft_cap, size, trained
):
    """Losses `[rows, 2]` of the first `count` rows, in whole chunks."""

    def part(x, start):
        return ops.slice(
            x,
            (start, *(0,) * (len(x.shape) - 1)),
            (
                size,
                *x.shape[1:],
            ),
        )

    def chunks(body, *values):
        def step(start, *values):
            return start + size, *body(start, *values)

        start = ops.convert_to_tensor(0, "int32")
        return ops.while_loop(
            lambda start, *_: start < count, step, (start, *values)
        )[1:]

    @ops.custom_gradient
    def losses_of(rows, embeddings):
        def score(start, losses):
            logits = vocabulary_logits(part(rows, start), embeddings, soft_cap)
            chosen = part(targets, start)
            likeliest = ops.cast(ops.argmax(logits, axis=-1), "int32")
            right = ops.cast(ops.equal(likeliest, chosen), "float32")
            loss = token_losses(chosen, logits, smoothing)
            both = ops.stack([loss, right], axis=-1)
            return (ops.slice_update(losses, (start, 0), both),)

        def gradient(*arguments, upstream=None):
            # Keras hands the upstream gradient over by name on PyTorch.
            if upstream is None:
                (upstream,) = arguments

            def add(start, to_rows, *to_embeddings):
                x = part(rows, start)
                logits = vocabulary_logits(x, embeddings, soft_cap)
                to_logits = _logits_gradient(
                    logits, part(targets, start), smoothing, soft_cap
                )
                # Rows behind the last one in the loss weigh nothing.
                kept = ops.arange(size) + start < count
                weight = ops.where(kept, part(upstream, start)[:, 0], 0.0)
                to_logits = ops.cast(to_logits * weight[:, None], x.dtype)
                to_x = ops.matmul(to_logits, embeddings)
                to_rows = ops.slice_update(to_rows, (start, 0), to_x)
                if not trained:
                    return (to_rows,)
                product = ops.matmul(ops.transpose(to_logits), x)
                product = ops.cast(product, "float32")
                return to_rows, to_embeddings[0] + product

            sums = [ops.zeros_like(rows)]
            if trained:
                sums.append(ops.zeros(embeddings.shape, "float32"))
            to_rows, *to_embeddings = chunks(add, *sums)
            if not trained:
                return to_rows, None
            return to_rows, ops.cast(to_embeddings[0], embeddings.dtype)

        (losses,) = chunks(score, ops.zeros((ops.shape(rows)[0], 2), "float32"))
        return losses, gradient

    return losses_of(rows, ops.convert_to_tensor(embeddings))


def _logits_gradient(logits, token_ids, smoothing, soft_cap):
    """Gradient of `token_losses` by the logits before their soft cap."""
    columns = logits.shape[-1]
    share = smoothing / (columns - 1)
    is_right = ops.equal(token_ids[:, None], ops.arange(columns))
    gradient = ops.softmax(logits, axis=-1) - share
    gradient = gradient - (1.0 - smoothing - share) * ops.cast(
        is_right, "float32"
    )
    if soft_cap is None:
        return gradient
    return gradient * (1.0 - ops.square(logits / soft_cap))
