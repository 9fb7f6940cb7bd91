"""Decoding under a grammar: only tokens that may follow are chosen.

A grammar is any object with the arrays of `keras_paligemma.tasks.Grammar`.
They are arguments of the compiled functions, padded to few shapes, so that
one compilation serves many grammars; where each row stands goes from step to
step on the device. Nearly all tokens of a vocabulary are never allowed: the
choice is made among the columns of the others, which costs less than a
choice among all.
"""

import numpy as np
from keras import ops

# What goes from step to step, one number a row.
_ROW_KEYS = ("state", "remaining", "last", "before_last")


class Constraint:
    """A grammar, and where each row stands in it, as NumPy arrays.

    Args:
        grammar: object with int arrays `table` `[states, groups]`, `groups`
            `[vocabulary]`, `distance` `[states]`, `location_of`
            `[vocabulary]`, `starts` `[1]` or `[batch]`, and the bool array
            `bounded` `[states]`.
        batch: `PromptBatch`. Forced starts of its answers are followed.
        vocabulary_size: int. The number of logits.
        repeats: int. Rows that each prompt becomes.

    Raises:
        ValueError: If the grammar knows tokens beyond the vocabulary, has
            neither one start nor one for each row, does not allow a forced
            start, or leaves a row no room to finish.
    """

    def __init__(self, grammar, batch, vocabulary_size, repeats=1):
        self._grammar = grammar
        self._constants = _padded_arrays(grammar, vocabulary_size)
        rows = _first_rows(grammar, batch)
        self._rows = {k: np.repeat(v, repeats) for k, v in rows.items()}

    @property
    def carry(self):
        """dict of arrays. What `choose` is given first."""
        return self._constants | self._rows

    def follow(self, sources, tokens):
        """Takes one step on the host, for beams.

        Args:
            sources: int array `[rows]`. Which old row each row grew from.
            tokens: int array `[rows]`. Tokens that are not allowed are for
                rows that do not count any more.
        """
        before = {key: self._rows[key][sources] for key in _ROW_KEYS}
        groups, table = self._grammar.groups, self._grammar.table
        after = table[before["state"], groups[tokens]]
        self._rows = {
            "state": np.where(after < 0, before["state"], after),
            "remaining": np.maximum(before["remaining"] - 1, 1),
            "last": self._grammar.location_of[tokens],
            "before_last": before["last"],
        }


def allowed_logits(logits, carry):
    """The logits of the tokens that the grammar knows.

    Args:
        logits: float tensor `[rows, vocabulary]`.
        carry: dict of tensors, of `Constraint.carry`.

    Returns:
        float tensor `[rows, columns]`, minus infinity where a token must not
        follow. Column `i` is the token `carry["tokens"][i]`.
    """
    after = ops.take(carry["table"], carry["state"], axis=0)
    room = ops.take(carry["distance"], ops.maximum(after, 0), axis=0)
    room = room < carry["remaining"][:, None]
    allowed = ops.logical_and(after >= 0, room)
    allowed = ops.take(allowed, carry["groups"], axis=1)
    # An edge of a box must not lie before the opposite one.
    bounded = ops.take(carry["bounded"], carry["state"], axis=0)
    least = ops.where(bounded, carry["before_last"], -1)
    locations = carry["locations"][None]
    in_order = ops.logical_or(locations < 0, locations >= least[:, None])
    columns = ops.take(logits, carry["tokens"], axis=1)
    return ops.where(ops.logical_and(allowed, in_order), columns, -np.inf)


def constrained_choice(select, logits, uniform, carry):
    """Chooses a token a row under the grammar.

    Args:
        select: callable of logits `[rows, columns]` and `uniform`; returns
            int32 columns `[rows]`.
        logits: float tensor `[rows, vocabulary]`.
        uniform: float tensor `[rows]`.
        carry: dict of tensors.

    Returns:
        int32 token ids `[rows]`, and the carry of the next step.
    """
    candidates = allowed_logits(logits, carry)
    column = select(candidates, uniform)
    # Rounding may end a draw behind the last column that is possible.
    value = ops.take_along_axis(candidates, column[:, None], axis=1)[:, 0]
    best = ops.cast(ops.argmax(candidates, axis=-1), "int32")
    column = ops.where(value > -np.inf, column, best)
    after = ops.take(carry["table"], carry["state"], axis=0)
    group = ops.take(carry["groups"], column, axis=0)
    after = ops.take_along_axis(after, group[:, None], axis=1)[:, 0]
    carry = carry | {
        "state": ops.maximum(after, 0),
        # Finished rows go on at the end, where one token is always room.
        "remaining": ops.maximum(carry["remaining"] - 1, 1),
        "last": ops.take(carry["locations"], column, axis=0),
        "before_last": carry["last"],
    }
    return ops.take(carry["tokens"], column, axis=0), carry


def _padded_arrays(grammar, vocabulary_size):
    groups = np.asarray(grammar.groups)
    tokens = np.flatnonzero(groups)
    if tokens[-1] >= vocabulary_size:
        raise ValueError(
            "The grammar must be of the model's vocabulary. Received: a "
            f"grammar with the token {tokens[-1]}, and a model of "
            f"vocabulary_size={vocabulary_size}"
        )
    states, num_groups = grammar.table.shape
    states_room = _power_of_two(states, 64)
    # Of group 0, as padding is: no token of it is ever allowed.
    outside = np.flatnonzero(groups == 0)[:1]
    tokens_room = -(-len(tokens) // 256) * 256 - len(tokens)
    tokens = np.concatenate([tokens, np.repeat(outside, tokens_room)])
    table = np.full((states_room, _power_of_two(num_groups, 16)), -1, "int32")
    table[:states, :num_groups] = grammar.table
    distance, bounded = np.zeros(states_room, "int32"), np.zeros(states_room)
    distance[:states] = grammar.distance
    bounded[:states] = grammar.bounded
    return {
        "tokens": tokens.astype("int32"),
        "groups": groups[tokens].astype("int32"),
        "locations": np.asarray(grammar.location_of)[tokens].astype("int32"),
        "table": table,
        "distance": distance,
        "bounded": bounded.astype("bool"),
    }


def _power_of_two(number, least):
    return max(least, 1 << int(number - 1).bit_length())


def _first_rows(grammar, batch):
    starts = np.asarray(grammar.starts)
    if len(starts) not in (1, len(batch)):
        raise ValueError(
            "The grammar must have one start for all rows, or one for each. "
            f"Received: {len(starts)} starts and {len(batch)} rows"
        )
    rows = {
        "state": np.zeros(len(batch), "int32") + starts.astype("int32"),
        "remaining": np.asarray(batch.limits, "int32"),
        "last": np.full(len(batch), -1, "int32"),
        "before_last": np.full(len(batch), -1, "int32"),
    }
    forced = batch.response_mask.astype("bool")
    for row, tokens in enumerate(batch.token_ids):
        for token in tokens[forced[row]]:
            before, location = rows["state"][row], grammar.location_of[token]
            state = grammar.table[before, grammar.groups[token]]
            inside_out = location < rows["before_last"][row]
            if state < 0 or (grammar.bounded[before] and inside_out):
                raise ValueError(
                    "The start that an answer is forced to have must be "
                    "allowed by the grammar. Received: the token "
                    f"{int(token)} in row {row}"
                )
            rows["state"][row] = state
            rows["before_last"][row] = rows["last"][row]
            rows["last"][row] = location
    needed = np.asarray(grammar.distance)[rows["state"]]
    short = np.flatnonzero(needed > rows["remaining"])
    if len(short):
        row = int(short[0])
        raise ValueError(
            "There is no room for an answer: pass a larger `max_length`. "
            f"Received: room for {rows['remaining'][row]} new tokens in row "
            f"{row}, where the shortest answer has {needed[row]}"
        )
    return rows
