"""From logits to tokens: what each sampler chooses, row by row.

Keras-Hub's random samplers draw for the whole batch from one stream, so that
a row's answer depends on its neighbours. Here the stock samplers keep their
rule and take one uniform number a row and token, drawn on the host: the same
seed gives the same text alone, in a batch, and on every backend. Samplers of
other classes run through their own `get_next_token`.
"""

import keras_hub
from keras import ops

samplers = keras_hub.samplers
DETERMINISTIC = (samplers.GreedySampler,)
DRAWN = (samplers.RandomSampler, samplers.TopKSampler, samplers.TopPSampler)


def is_drawn(sampler):
    """Whether the sampler's tokens come from uniform numbers drawn here."""
    return type(sampler) in DRAWN


def is_stateless(sampler):
    """Whether the sampler's choice is a rule here, with no state of its own."""
    return type(sampler) in DETERMINISTIC + DRAWN


def has_own_loop(sampler):
    """Whether the sampler overrides the loop itself, not just the choice."""
    return type(sampler).__call__ is not samplers.Sampler.__call__


def token_selector(sampler):
    """Returns the choice rule of a sampler as a function.

    Args:
        sampler: `keras_hub.samplers.Sampler`.

    Returns:
        Function of float32 logits `[rows, vocabulary]` and uniform numbers
        `[rows]` in `[0, 1)`, that returns int32 tokens `[rows]`.
    """
    kind = type(sampler)
    if kind in DETERMINISTIC:
        return lambda logits, uniform: _int32(ops.argmax(logits, axis=-1))
    if kind is samplers.RandomSampler:
        return lambda logits, uniform: inverse_cdf(
            sampler.compute_probabilities(logits), uniform
        )
    if kind is samplers.TopKSampler:
        return lambda logits, uniform: _select_top(
            sampler.compute_probabilities(logits), uniform, k=sampler.k
        )
    if kind is samplers.TopPSampler:
        return lambda logits, uniform: _select_top(
            sampler.compute_probabilities(logits),
            uniform,
            k=sampler.k,
            p=sampler.p,
        )
    return lambda logits, uniform: _int32(
        sampler.get_next_token(sampler.compute_probabilities(logits))
    )


def inverse_cdf(weights, uniform):
    """Draws one column a row, with probability proportional to its weight.

    Args:
        weights: float tensor `[rows, columns]`, not negative.
        uniform: float tensor `[rows]` in `[0, 1)`.

    Returns:
        int32 tensor `[rows]`.

    Example:
    ```python
    inverse_cdf([[0.25, 0.0, 0.75]], [0.2])  # [0]
    inverse_cdf([[0.25, 0.0, 0.75]], [0.3])  # [2]
    ```
    """
    cumulative = ops.cumsum(weights, axis=-1)
    threshold = uniform[:, None] * cumulative[:, -1:]
    below = ops.sum(_int32(cumulative <= threshold), axis=-1)
    # Rounding may leave the threshold at the last sum.
    return _int32(ops.minimum(below, weights.shape[-1] - 1))


def _select_top(probabilities, uniform, k=None, p=None):
    columns = probabilities.shape[-1]
    weights, tokens = ops.top_k(
        probabilities, k=columns if k is None else min(k, columns), sorted=True
    )
    if p is not None:
        # Keep up to the first token at which the sum passes `p`.
        before = ops.cumsum(weights, axis=-1) - weights
        weights = ops.where(before <= p, weights, 0.0)
    place = inverse_cdf(weights, uniform)
    return _int32(ops.take_along_axis(tokens, place[:, None], axis=-1)[:, 0])


def log_probability(logits, token_ids):
    """The model's own log-probability of each row's token.

    Args:
        logits: float32 tensor `[rows, vocabulary]`.
        token_ids: int tensor `[rows]`.

    Returns:
        float32 tensor `[rows]`. A sampler's temperature and cuts do not
        enter.
    """
    chosen = ops.take_along_axis(logits, token_ids[:, None], axis=-1)[:, 0]
    return chosen - ops.logsumexp(logits, axis=-1)


def _int32(x):
    return ops.cast(x, "int32")
