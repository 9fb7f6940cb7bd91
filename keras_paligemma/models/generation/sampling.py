"""Decoding with a sampler: one answer a row, or the best of several."""

import numpy as np
from keras import ops

from keras_paligemma.models.generation.selection import log_probability


def sampling_choice(select, with_scores):
    """Returns the `choose` of `DecoderLoop` for a sampler's rule."""

    def choose(logits, uniform):
        token_ids = select(logits, uniform)
        chosen = {"token_ids": token_ids}
        if with_scores:
            chosen["scores"] = log_probability(logits, token_ids)
        return chosen

    return choose


def sample(loop, batch, uniforms, stop_token_ids=(), repeats=1):
    """Decodes step by step, until each row has stopped or is full.

    Args:
        loop: `DecoderLoop` with `sampling_choice`.
        batch: `PromptBatch`.
        uniforms: iterator of float32 arrays `[rows]`, one a step.
        stop_token_ids: ints that end a row.
        repeats: int. Rows that each prompt becomes.

    Yields:
        For each step: int array `[rows]` of tokens, float array `[rows]` of
        scores or `None`, and bool array `[rows]`: was the row still open.
    """
    limits = np.repeat(batch.limits, repeats)
    open_rows = np.ones(len(limits), "bool")
    chosen = loop.begin(batch, next(uniforms), repeats)
    longest = int(limits.max())
    for count in range(1, longest + 1):
        ahead = None
        if not stop_token_ids and count < longest:
            # No token can end a row, so the next step starts at once, while
            # this one's tokens are fetched.
            ahead = loop.advance(chosen["token_ids"], next(uniforms))
        token_ids = ops.convert_to_numpy(chosen["token_ids"])
        scores = chosen.get("scores")
        if scores is not None:
            scores = ops.convert_to_numpy(scores)
        yield token_ids, scores, open_rows
        open_rows = open_rows & ~np.isin(token_ids, stop_token_ids)
        open_rows = open_rows & (limits > count)
        if not open_rows.any():
            break
        chosen = ahead or loop.advance(chosen["token_ids"], next(uniforms))
    loop.end()


def collect(steps):
    """Gathers the steps of `sample` by row.

    Returns:
        List of int arrays, and list of float arrays (or `None`).
    """
    token_ids, scores, open_rows = zip(*steps, strict=True)
    kept = np.stack(open_rows, axis=1)
    token_ids = np.stack(token_ids, axis=1)
    answers = [t[k] for t, k in zip(token_ids, kept, strict=True)]
    if scores[0] is None:
        return answers, None
    scores = np.stack(scores, axis=1)
    return answers, [s[k] for s, k in zip(scores, kept, strict=True)]


def best_of(answers, scores, n):
    """Of each `n` answers in a row keeps the most likely one.

    Args:
        answers: list of `rows * n` int arrays.
        scores: list of `rows * n` float arrays, log-probabilities.
        n: int.

    Returns:
        Lists of `rows` answers and of their scores.

    Example:
    ```python
    best_of([[5], [6]], [[-2.0], [-1.0]], 2)  # ([[6]], [[-1.0]])
    ```
    """
    totals = np.array([np.sum(s) for s in scores]).reshape(-1, n)
    best = np.argmax(totals, axis=1) + np.arange(len(totals)) * n
    return [answers[i] for i in best], [scores[i] for i in best]


def uniform_numbers(keys, seed, repeats=1):
    """Endless uniform numbers, each row's from its own stream.

    Args:
        keys: list of tuples of ints, one a prompt (`PromptBatch.row_keys`).
        seed: int. The call's seed.
        repeats: int. Rows that each prompt becomes.

    Yields:
        float32 arrays `[len(keys) * repeats]` in `[0, 1)`.
    """
    streams = [
        np.random.Generator(np.random.Philox([seed, *key, sample_number]))
        for key in keys
        for sample_number in range(repeats)
    ]
    while True:
        yield np.array([s.random() for s in streams], "float32").clip(
            max=1.0 - 2.0**-24
        )


def zeros(rows):
    """Stands for `uniform_numbers` where nothing is drawn."""
    while True:
        yield np.zeros(rows, "float32")
