"""`Grammar`: which tokens may follow, as arrays that a loop can gather from."""

import dataclasses

import numpy as np

# What the next token of a state is part of (`Grammar.kinds`).
KINDS = ("start", "location", "codes", "label", "end")
START, LOCATION, CODES, LABEL, END = range(len(KINDS))


@dataclasses.dataclass(frozen=True)
class Grammar:
    """A deterministic automaton over token ids, and the room it needs.

    Tokens that are always allowed together share a group. With `state` and
    `token` integers, or arrays of them, a step on any backend is

        state = table[state, groups[token]]

    and a token may follow when `table[state, groups] >= 0`. It may follow
    and leave room to finish within `remaining` tokens, itself counted, when
    besides `distance[table[state, groups]] < remaining`. Where
    `bounded[state]`, a location must not be below the one two tokens before
    it, so that boxes are never inside out: `location_of[token]` is its index.
    The end state goes to itself with the end token, so that finished rows of
    a batch may go on.

    Args:
        table: int32 array `[states, groups]`. The next state, -1 where the
            group is not allowed. Column 0 is the group of all tokens that are
            never allowed.
        groups: int32 array `[vocabulary]`. The group of each token.
        distance: int32 array `[states]`. The smallest number of tokens, the
            end token counted, that finish from here.
        kinds: int32 array `[states]`. What the next token is part of, an
            index into `KINDS`.
        bounded: bool array `[states]`. Whether the next location has a lower
            bound, the token before the last.
        location_of: int32 array `[vocabulary]`. The index of a location
            token, -1 for other tokens.
        starts: int32 array `[grammars]`. The first state; one for each
            grammar that was stacked.
        end_token_id: int.

    Example:

    ```python
    grammar = build_grammar(["cat", "dog"], tokenizer)
    states = np.zeros(batch_size, "int32") + grammar.starts
    allowed = grammar.allowed(states, remaining=32)  # bool [batch, vocabulary]
    states = grammar.step(states, tokens)
    ```
    """

    table: np.ndarray
    groups: np.ndarray
    distance: np.ndarray
    kinds: np.ndarray
    bounded: np.ndarray
    location_of: np.ndarray
    starts: np.ndarray
    end_token_id: int

    @property
    def min_length(self):
        """int. The room that every output needs, the end token counted."""
        return int(self.distance[self.starts].max())

    def allowed(self, states, remaining, tokens_before_last=None):
        """Which tokens may follow. The plain form of what a loop compiles.

        Args:
            states: int array `[batch]`.
            remaining: int, or int array `[batch]`. How many tokens may still
                be written, at least `distance[states]`.
            tokens_before_last: int array `[batch]` or `None`. The token
                before the last one, for the bound of locations. Without it,
                boxes may be inside out.

        Returns:
            bool array `[batch, vocabulary]`.
        """
        after = self.table[states]
        room = np.broadcast_to(remaining, np.shape(states))[:, None]
        by_group = (after >= 0) & (self.distance[after] < room)
        allowed = by_group[:, self.groups]
        if tokens_before_last is not None:
            least = np.where(
                self.bounded[states], self.location_of[tokens_before_last], -1
            )
            is_location = self.location_of >= 0
            below = is_location & (self.location_of < least[:, None])
            allowed = allowed & ~below
        return allowed

    def step(self, states, tokens):
        """The states behind `tokens`, -1 where one was not allowed."""
        return self.table[states, self.groups[tokens]]

    def accepts(self, token_ids, grammar=0):
        """Whether a whole output, the end token included, is allowed."""
        state = self.starts[grammar]
        for token in token_ids:
            if state < 0 or self.kinds[state] == END:
                return False
            state = self.step(state, token)
        return bool(state >= 0 and self.kinds[state] == END)

    def object_spans(self, token_ids, grammar=0):
        """Where each object begins and ends in an output.

        Args:
            token_ids: sequence of int. An output; it may be cut off.
            grammar: int. Which one, of a stack.

        Returns:
            A list with a tuple `(first, codes, label, last)` for each whole
            object: its locations are `token_ids[first:codes]`, its
            segmentation tokens `token_ids[codes:label]`, and its label, with
            the separator or the end token behind it,
            `token_ids[label:last]`.
        """
        state = self.starts[grammar]
        spans, first, codes, label = [], None, None, None
        for index, token in enumerate(token_ids):
            kind = self.kinds[state]
            after = self.step(state, token)
            if after < 0:
                break
            if kind == START and self.kinds[after] != END:
                first = index
            kind_after = self.kinds[after]
            if kind == LOCATION and kind_after != LOCATION:
                codes = index + 1
            if kind in (LOCATION, CODES) and kind_after == LABEL:
                label = index + 1
            if kind == LABEL and kind_after in (START, END):
                spans.append((first, codes, label, index + 1))
            if kind_after == END:
                break
            state = after
        return spans


def stack_grammars(grammars):
    """Joins grammars into one, for batches whose rows ask for other things.

    Args:
        grammars: sequence of `Grammar`s of one vocabulary. What is there
            several times, as the same object, is held once.

    Returns:
        A `Grammar`; row `i` begins in state `starts[i]`.

    Raises:
        ValueError: If there are none, or their vocabularies differ.

    Example:

    ```python
    grammar = stack_grammars(
        [build_grammar(["cat"], tokenizer), build_grammar(["dog"], tokenizer)]
    )
    states = grammar.starts  # [2]
    ```
    """
    grammars = list(grammars)
    first = grammars[0] if grammars else None
    same = grammars and all(
        np.array_equal(first.location_of, other.location_of)
        and first.end_token_id == other.end_token_id
        for other in grammars
    )
    if not same:
        raise ValueError(
            "Grammars that are stacked must be at least one, all of the same "
            f"vocabulary. Received: {len(grammars)} grammars with "
            f"vocabularies of {[len(other.groups) for other in grammars]}"
        )
    different = list({id(other): other for other in grammars}.values())
    # Tokens share a group if they share one in each of the grammars. Most
    # tokens are in group 0 of all, and stay there.
    used = np.flatnonzero(np.any([other.groups for other in different], axis=0))
    combined = np.zeros(len(used), "int64")
    for other in different:
        combined = combined * other.table.shape[1] + other.groups[used]
        _, combined = np.unique(combined, return_inverse=True)
    groups = np.zeros(len(first.groups), "int32")
    groups[used] = combined + 1
    _, examples = np.unique(combined, return_index=True)
    examples = used[examples]
    tables, starts, offset = [], {}, 0
    for other in different:
        table = other.table[:, other.groups[examples]]
        tables.append(np.where(table >= 0, table + offset, -1))
        starts[id(other)] = other.starts + offset
        offset += len(table)

    def joined(name):
        return np.concatenate([getattr(other, name) for other in different])

    table = np.pad(np.concatenate(tables), ((0, 0), (1, 0)), constant_values=-1)
    return Grammar(
        table=table.astype("int32"),
        groups=groups,
        distance=joined("distance"),
        kinds=joined("kinds"),
        bounded=joined("bounded"),
        location_of=first.location_of,
        starts=np.concatenate([starts[id(other)] for other in grammars]).astype(
            "int32"
        ),
        end_token_id=first.end_token_id,
    )
