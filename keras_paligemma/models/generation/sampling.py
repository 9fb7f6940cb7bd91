"""Decoding with a sampler: one answer a row, or the best of several."""

import itertools

import numpy as np
from keras import ops

from keras_paligemma.models.generation.constraint import constrained_choice
from keras_paligemma.models.generation.decoder_loop import new_slots
from keras_paligemma.models.generation.selection import log_probability
from keras_paligemma.models.generation.whole_loop import answer_lengths


def sampling_choice(select, with_scores):
    """Returns the `choose` of `DecoderLoop` for a sampler's rule."""

    def choose(logits, uniform, carry):
        if carry:
            token_ids, carry = constrained_choice(
                select, logits, uniform, carry
            )
            chosen = {"token_ids": token_ids, "carry": carry}
        else:
            chosen = {"token_ids": select(logits, uniform)}
        if with_scores:
            # Of the model's own distribution, with or without a grammar.
            chosen["scores"] = log_probability(logits, chosen["token_ids"])
        return chosen

    return choose


def sample(loop, batch, uniforms, stop_token_ids=(), repeats=1, carry=None):
    """Decodes in one compiled loop, until each row has stopped or is full.

    Args:
        loop: `DecoderLoop` with `sampling_choice`.
        batch: `PromptBatch`.
        uniforms: iterator of float32 arrays `[rows]`, one a step.
        stop_token_ids: ints that end a row.
        repeats: int. Rows that each prompt becomes.
        carry: dict of arrays or `None`. Of `Constraint`.

    Returns:
        List of int arrays, each row's tokens, its stop token included. List
        of float arrays, their scores, or `None`.
    """
    limits = np.repeat(batch.limits, repeats)
    uniforms = np.stack(list(itertools.islice(uniforms, new_slots(batch))))
    chosen = loop.begin(batch, uniforms[0], repeats, carry)
    chosen = loop.finish(chosen, uniforms, limits, stop_token_ids)
    token_ids, scores = _fetched(chosen)
    lengths = answer_lengths(token_ids.T, limits, stop_token_ids)
    return _cut(token_ids, scores, lengths)


def stream(loop, batch, uniforms, stop_token_ids=(), repeats=1, carry=None):
    """Decodes as `sample` does, step by step.

    Yields:
        For each step: int array `[rows]` of tokens, float array `[rows]` of
        scores or `None`, and bool array `[rows]`: was the row still open.
    """
    limits = np.repeat(batch.limits, repeats)
    open_rows = np.ones(len(limits), "bool")
    chosen = loop.begin(batch, next(uniforms), repeats, carry)
    for count in itertools.count(1):
        token_ids, scores = _fetched(chosen)
        yield token_ids, scores, open_rows
        open_rows = open_rows & ~np.isin(token_ids, stop_token_ids)
        open_rows = open_rows & (limits > count)
        if not open_rows.any():
            break
        chosen = loop.advance(
            chosen["token_ids"], next(uniforms), carry=chosen.get("carry")
        )
    loop.end()


def collect(steps):
    """Gathers the steps of `stream` by row.

    Returns:
        What `sample` returns.
    """
    token_ids, scores, open_rows = zip(*steps, strict=True)
    scores = None if scores[0] is None else np.stack(scores)
    return _cut(np.stack(token_ids), scores, np.sum(open_rows, axis=0))


def _fetched(chosen):
    scores = chosen.get("scores")
    return (
        ops.convert_to_numpy(chosen["token_ids"]),
        None if scores is None else ops.convert_to_numpy(scores),
    )


def _cut(token_ids, scores, lengths):
    answers = [t[:n] for t, n in zip(token_ids.T, lengths, strict=True)]
    if scores is None:
        return answers, None
    return answers, [s[:n] for s, n in zip(scores.T, lengths, strict=True)]


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
