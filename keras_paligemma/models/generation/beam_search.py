"""Beam search: the likeliest answer among many kept side by side.

Each row keeps `num_beams` open beams and its best finished answer. A score
is the sum of log-probabilities, with no length penalty, so it only falls:
a row is done as soon as no open beam lies above its best finished answer.
What a row does never depends on other rows.
"""

import dataclasses

import numpy as np
from keras import ops

from keras_paligemma.models.generation.constraint import allowed_logits


def beam_choice(num_candidates, temperature=1.0):
    """Returns the `choose` of `DecoderLoop`: each row's likeliest tokens."""

    def choose(logits, argument, carry):
        logits = logits / temperature
        columns = allowed_logits(logits, carry) if carry else logits
        top, token_ids = ops.top_k(
            columns, k=min(num_candidates, columns.shape[-1]), sorted=True
        )
        if carry:
            token_ids = ops.take(carry["tokens"], token_ids, axis=0)
        total = ops.logsumexp(logits, axis=-1, keepdims=True)
        return {"scores": top - total, "token_ids": token_ids}

    return choose


@dataclasses.dataclass
class RowBeams:
    """The beams of one prompt.

    Attributes:
        num_beams: int. Open beams kept.
        limit: int. Tokens at most.
        beams: list of (score, token list, token scores), open, best first.
        best: (score, token list, token scores) or `None`: best finished.
    """

    num_beams: int
    limit: int
    beams: list = dataclasses.field(default_factory=lambda: [(0.0, [], [])])
    best: tuple = None

    @property
    def done(self):
        if not self.beams or len(self.beams[0][1]) >= self.limit:
            return True
        return self.best is not None and self.best[0] >= self.beams[0][0]

    @property
    def answer(self):
        """The best answer: finished, or open where the row is full."""
        candidates = [b for b in (self.best, *self.beams[:1]) if b is not None]
        return max(candidates, key=lambda b: b[0])

    def grow(self, token_ids, scores, stop_token_ids):
        """Extends each open beam by its likeliest tokens, keeps the best.

        Args:
            token_ids: int array `[beams, candidates]`.
            scores: float array `[beams, candidates]`, log-probabilities;
                minus infinity for what a grammar does not allow.
            stop_token_ids: set of ints that finish an answer.

        Returns:
            int list: which old beam each new one grew from.
        """
        count = len(self.beams)
        before = np.array([beam[0] for beam in self.beams])
        totals = before[:, None] + scores[:count].astype("float64")
        parents, beams = [], []
        # A stable order: ties go to the earlier beam and candidate.
        for flat in np.argsort(-totals, axis=None, kind="stable"):
            parent, place = np.unravel_index(flat, totals.shape)
            if totals[parent, place] == -np.inf:
                break
            score, tokens, token_scores = self.beams[parent]
            token = int(token_ids[parent, place])
            grown = (
                float(totals[parent, place]),
                [*tokens, token],
                [*token_scores, float(scores[parent, place])],
            )
            if token in stop_token_ids:
                if self.best is None or grown[0] > self.best[0]:
                    self.best = grown
                continue
            parents.append(int(parent))
            beams.append(grown)
            if len(beams) == self.num_beams:
                break
        self.beams = beams
        return parents


def beam_search(loop, batch, num_beams, stop_token_ids=(), constraint=None):
    """Runs beam search on each prompt.

    Args:
        loop: `DecoderLoop` with `beam_choice(c)`, `c` at least `num_beams`
            and the number of stop tokens together.
        batch: `PromptBatch`.
        num_beams: int.
        stop_token_ids: ints that finish an answer.
        constraint: `Constraint` of `num_beams` rows a prompt, or `None`.

    Returns:
        List of int arrays: the answers. List of float arrays: the
        log-probability of each token.
    """
    stop = set(int(t) for t in stop_token_ids)
    rows = [RowBeams(num_beams, int(limit)) for limit in batch.limits]
    nothing = np.zeros((), "float32")
    carry = constraint.carry if constraint else None
    chosen = loop.begin(batch, nothing, repeats=num_beams, carry=carry)
    while True:
        shape = (len(rows), num_beams, -1)
        token_ids = ops.convert_to_numpy(chosen["token_ids"]).reshape(shape)
        scores = ops.convert_to_numpy(chosen["scores"]).reshape(shape)
        sources = np.arange(len(rows) * num_beams).reshape(shape[:2])
        last = np.zeros(shape[:2], "int32")
        for i, row in enumerate(rows):
            if row.done:
                continue
            parents = row.grow(token_ids[i], scores[i], stop)
            sources[i, : len(parents)] = i * num_beams + np.array(parents)
            last[i, : len(parents)] = [beam[1][-1] for beam in row.beams]
        if all(row.done for row in rows):
            break
        last, sources = last.reshape(-1), sources.reshape(-1)
        if constraint:
            constraint.follow(sources, last)
            carry = constraint.carry
        chosen = loop.advance(last, nothing, rows=sources, carry=carry)
    loop.end()
    answers = [row.answer for row in rows]
    return (
        [np.array(a[1], "int32") for a in answers],
        [np.array(a[2], "float32") for a in answers],
    )
