"""Builds the `Grammar` of the detection and the segmentation task."""

import numpy as np

from keras_paligemma.tasks.grammar import CODES
from keras_paligemma.tasks.grammar import END
from keras_paligemma.tasks.grammar import LABEL
from keras_paligemma.tasks.grammar import LOCATION
from keras_paligemma.tasks.grammar import START
from keras_paligemma.tasks.grammar import Grammar
from keras_paligemma.tasks.labels import SEPARATOR
from keras_paligemma.tasks.labels import check_things
from keras_paligemma.tasks.mask import NUM_CODES
from keras_paligemma.tasks.object_text import label_text

_LARGEST_TABLE = 2**25  # entries, of four bytes each
_LOCATION_GROUP, _CODE_GROUP, _END_GROUP = 1, 2, 3


def build_grammar(
    things,
    tokenizer,
    with_codes=False,
    min_objects=0,
    max_objects=None,
    vocabulary_size=None,
):
    """Builds the grammar of `detect` or `segment` for the things asked for.

    What it accepts are exactly the suffixes that the task writes with these
    labels, tokenized as in training: the text between two tokens of locations
    is a piece that the tokenizer never merges with its neighbours, so each
    label is one of two fixed sequences of tokens, with the separator behind
    it, or alone before the end.

    Args:
        things: str or sequence of str. What is asked for.
        tokenizer: A `PaliGemmaTokenizer`, or any callable from str to a list
            of token ids, with the attributes `location_token_ids`,
            `segmentation_token_ids` and `end_token_id`.
        with_codes: bool. Whether the task is `segment`.
        min_objects: int. How many objects there must be at least.
        max_objects: int or `None`. How many there may be at most; `None` for
            no bound but the length. States grow in proportion to it.
        vocabulary_size: int or `None`. The number of logits; by default
            `tokenizer.vocabulary_size()`.

    Returns:
        A `Grammar`.

    Raises:
        ValueError: If a thing is no valid label, or is tokenized into
            locations, segmentation tokens or the end token; if the bounds on
            the number of objects contradict each other; or if the table
            would be too large.

    Example:

    ```python
    grammar = build_grammar(["cat", "dog"], tokenizer, max_objects=8)
    grammar.accepts(
        tokenizer("<loc0000><loc0000><loc0512><loc1023> cat")
        + [tokenizer.end_token_id]
    )  # True
    ```
    """
    things = check_things(things)
    least = max(min_objects, 1)
    if min_objects < 0 or (max_objects is not None and max_objects < least):
        raise ValueError(
            "The numbers of objects must be 0 <= min_objects <= max_objects, "
            "and max_objects at least 1. Received: min_objects="
            f"{min_objects}, max_objects={max_objects}"
        )
    size = vocabulary_size or tokenizer.vocabulary_size()
    groups, location_of = _token_groups(tokenizer, size)
    texts = [label_text(thing) for thing in things]
    finals = _tokenize(tokenizer, texts, groups)
    middles = _tokenize(tokenizer, [f"{t}{SEPARATOR}" for t in texts], groups)
    for token in sorted({token for row in finals + middles for token in row}):
        groups[token] = groups.max() + 1

    copies = max_objects or least
    # The count of objects is in the state: one copy of all states for each
    # object. Without a bound the last copy goes back to itself.
    automaton = _Automaton(copies, with_codes, min_objects, max_objects)
    automaton.build(finals, middles, groups)
    return automaton.grammar(
        groups, location_of, int(tokenizer.end_token_id), min_objects
    )


def _token_groups(tokenizer, size):
    groups = np.zeros(size, "int32")
    location_of = np.full(size, -1, "int32")
    locations = list(tokenizer.location_token_ids)
    codes = list(tokenizer.segmentation_token_ids)
    last = max([*locations, *codes, tokenizer.end_token_id])
    if last >= size:
        raise ValueError(
            "The vocabulary must hold all location and segmentation tokens. "
            f"Received: vocabulary_size={size}, and a token of id {last}"
        )
    groups[locations] = _LOCATION_GROUP
    groups[codes] = _CODE_GROUP
    groups[tokenizer.end_token_id] = _END_GROUP
    location_of[locations] = np.arange(len(locations))
    return groups, location_of


def _tokenize(tokenizer, texts, groups):
    rows = []
    for text in texts:
        row = [int(token) for token in tokenizer(text)]
        if not row or groups[row].any():
            raise ValueError(
                "A label must be tokenized into text pieces only, at least "
                f"one. Received: the text {text!r}, whose tokens are {row}"
            )
        rows.append(tuple(row))
    return rows


class _Automaton:
    """The states and transitions while they are collected."""

    def __init__(self, copies, with_codes, min_objects, max_objects):
        self.copies = copies
        self.with_codes = with_codes
        self.min_objects = min_objects
        self.max_objects = max_objects
        self.kinds = [END]
        self.bounded = [False]
        self.transitions = {(0, _END_GROUP): 0}

    def add(self, kind, bounded=False):
        self.kinds.append(kind)
        self.bounded.append(bounded)
        return len(self.kinds) - 1

    def build(self, finals, middles, groups):
        # State 0 is the end. The first states of all copies come next, since
        # objects lead to them.
        self.firsts = [self.add(START) for _ in range(self.copies)]
        for copy, first in enumerate(self.firsts):
            label = self.add_tokens(first)
            if copy + 1 >= self.min_objects:
                for row in finals:
                    leaf = self.add_text(label, row, groups)
                    self.transitions[leaf, _END_GROUP] = 0
            if self.max_objects is None or copy + 1 < self.max_objects:
                following = self.firsts[min(copy + 1, self.copies - 1)]
                for row in middles:
                    leaf = self.add_text(label, row[:-1], groups)
                    self.transitions[leaf, groups[row[-1]]] = following
            if copy == 0:
                self.check(groups)

    def add_tokens(self, state):
        """Adds the locations and codes of an object behind `state`."""
        kinds = [LOCATION] * 3 + [CODES] * (NUM_CODES * self.with_codes)
        used = [_LOCATION_GROUP] * 4 + [_CODE_GROUP] * (
            NUM_CODES * self.with_codes
        )
        kinds = [*kinds, LABEL]
        for index, (kind, group) in enumerate(zip(kinds, used, strict=True)):
            # Before ymax and xmax, two and three locations are written.
            following = self.add(kind, bounded=index in (1, 2))
            self.transitions[state, group] = following
            state = following
        return state

    def add_text(self, state, row, groups):
        for token in row:
            key = (state, groups[token])
            if key not in self.transitions:
                self.transitions[key] = self.add(LABEL)
            state = self.transitions[key]
        return state

    def check(self, groups):
        # The first copy is as large as any.
        entries = len(self.kinds) * self.copies * (int(groups.max()) + 1)
        if entries > _LARGEST_TABLE:
            raise ValueError(
                "The table of the grammar must not have more than "
                f"{_LARGEST_TABLE} entries. Received: {len(self.kinds)} "
                f"states for each object, max_objects={self.max_objects}, "
                f"min_objects={self.min_objects}. Ask for fewer things at "
                "once, or leave the number of objects to the length."
            )

    def grammar(self, groups, location_of, end_token_id, min_objects):
        states = len(self.kinds)
        table = np.full((states, groups.max() + 1), -1, "int32")
        for (state, group), following in self.transitions.items():
            table[state, group] = following
        if min_objects == 0:
            # Only an output without any object ends where one may begin.
            table = np.concatenate([table, table[self.firsts[:1]]])
            table[-1, _END_GROUP] = 0
            self.kinds.append(START)
            self.bounded.append(False)
            start = states
        else:
            start = self.firsts[0]
        return Grammar(
            table=table,
            groups=groups,
            distance=_distance(table),
            kinds=np.array(self.kinds, "int32"),
            bounded=np.array(self.bounded),
            location_of=location_of,
            starts=np.array([start], "int32"),
            end_token_id=end_token_id,
        )


def _distance(table):
    """The number of tokens on the shortest way to state 0, the end."""
    far = len(table) + 1
    distance = np.full(len(table) + 1, far, "int32")  # the last: not allowed
    distance[0] = 0
    while True:
        # -1 picks the last entry, which stays far away.
        shorter = np.minimum(distance[:-1], distance[table].min(axis=1) + 1)
        if (shorter == distance[:-1]).all():
            return shorter
        distance[:-1] = shorter
