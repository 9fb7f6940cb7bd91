import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_paligemma.tasks import Detect
from keras_paligemma.tasks import Segment
from keras_paligemma.tasks import build_grammar
from keras_paligemma.tasks import stack_grammars
from keras_paligemma.tasks.grammar import END
from tests.tasks import strategies

# Labels that begin alike, hold a semicolon, or need bytes.
THINGS = ("cat", "cat food", "cup of coffee", "x;y", "猫", "dog")


@pytest.fixture(scope="module")
def grammars(tiny_tokenizer):
    return {
        task: build_grammar(
            THINGS, tiny_tokenizer, with_codes=task.word[0] == "s"
        )
        for task in (Detect(), Segment())
    }


def walk(grammar, rng, rows, length, starts=None):
    """Random outputs under a grammar, lists of token ids."""
    states = np.zeros(rows, "int64") + (
        grammar.starts if starts is None else starts
    )
    tokens = np.full((rows, length), grammar.end_token_id)
    # All groups are about as likely, however many tokens each has.
    weights = -np.log(np.bincount(grammar.groups)[grammar.groups])
    for index in range(length):
        before_last = tokens[:, index - 2] if index > 1 else tokens[:, 0]
        allowed = grammar.allowed(states, length - index, before_last)
        assert allowed.any(axis=1).all()
        scores = weights + rng.gumbel(size=allowed.shape)
        tokens[:, index] = np.where(allowed, scores, -np.inf).argmax(axis=1)
        states = grammar.step(states, tokens[:, index])
        assert (states >= 0).all()
    assert (grammar.kinds[states] == END).all()
    return [
        row[: list(row).index(grammar.end_token_id)] for row in tokens.tolist()
    ]


def test_a_thousand_random_walks_parse(tiny_tokenizer, grammars):
    rng = np.random.default_rng(0)
    numbers = set()
    for task, grammar in grammars.items():
        # Some have room for nothing but the end token, or for one object.
        for length in (1, 11, 25, 60, 75):
            for row in walk(grammar, rng, rows=100, length=length):
                text = tiny_tokenizer.detokenize(row)
                found = task.parse(text, things=THINGS)
                kinds = {problem.kind for problem in found.problems}
                assert kinds <= {"repeated"}, text
                spans = grammar.object_spans([*row, grammar.end_token_id])
                assert len(spans) == len(found.boxes)
                numbers.add(len(spans))
    assert {0, 1, 2, 3, 4} <= numbers


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_every_written_suffix_is_accepted(tiny_tokenizer, grammars, data):
    labels = st.sampled_from(THINGS)
    for task, grammar in grammars.items():
        draw = strategies.boxes if task.word == "detect" else strategies.masks
        objects = data.draw(st.lists(draw(labels), max_size=4))
        tokens = tiny_tokenizer(task.suffix(objects))
        tokens = [*tokens, tiny_tokenizer.end_token_id]
        assert grammar.accepts(tokens)
        assert not grammar.accepts(tokens[:-1])
        assert not grammar.accepts([*tokens, tiny_tokenizer.end_token_id])
        # The rules of room and of order refuse none of them either.
        state = grammar.starts
        for index, token in enumerate(tokens):
            before_last = np.array([tokens[max(index - 2, 0)]])
            room = len(tokens) - index
            assert grammar.allowed(state, room, before_last)[0, token]
            state = grammar.step(state, token)


@settings(deadline=None, max_examples=50)
@given(strategies.boxes(strategies.labels.filter(bool)))
def test_any_label_is_accepted(tiny_tokenizer, box):
    grammar = build_grammar(box.label, tiny_tokenizer)
    for boxes in ([box], [box, box]):
        tokens = tiny_tokenizer(Detect().suffix(boxes))
        assert grammar.accepts([*tokens, tiny_tokenizer.end_token_id])


@pytest.mark.parametrize(
    "text",
    [
        *("cat", "<loc0000>", "<loc0000><loc0000><loc0000><loc0000>"),
        "<loc0000><loc0000><loc0000><loc0000> cow",
        "<loc0000><loc0000><loc0000><loc0000> cat ;",
        "<loc0000><loc0000><loc0000><loc0000><seg000> cat",
        "<loc0000><loc0000><loc0000><loc0000><loc0000> cat",
    ],
)
def test_other_outputs_are_refused(tiny_tokenizer, grammars, text):
    tokens = [*tiny_tokenizer(text), tiny_tokenizer.end_token_id]
    assert not any(grammar.accepts(tokens) for grammar in grammars.values())


def test_boxes_are_not_inside_out(tiny_tokenizer, grammars):
    (grammar, _) = grammars.values()
    locations = tiny_tokenizer.location_token_ids
    state = grammar.starts
    written = []
    for index, least in enumerate([0, 0, 300, 700]):
        before_last = np.array([written[-2] if index > 1 else 0])
        allowed = grammar.allowed(state, 40, before_last)[0]
        assert allowed[list(locations)].tolist() == [
            location >= least for location in range(1024)
        ]
        written.append(locations[[300, 700, 300, 1000][index]])
        state = grammar.step(state, written[-1])


@pytest.mark.parametrize(
    "least, most", [(0, 1), (0, 3), (1, None), (2, 2), (3, None)]
)
def test_the_number_of_objects(tiny_tokenizer, least, most):
    grammar = build_grammar(
        ["cat", "dog"], tiny_tokenizer, min_objects=least, max_objects=most
    )
    one = "<loc0000><loc0000><loc0000><loc0000> cat"
    for number in range(6):
        tokens = tiny_tokenizer(" ; ".join([one] * number)) if number else []
        accepted = grammar.accepts([*tokens, tiny_tokenizer.end_token_id])
        assert accepted == (least <= number <= (most or 5))
    rng = np.random.default_rng(0)
    length = grammar.min_length
    expected = tiny_tokenizer(" ; ".join([one] * least)) if least else []
    assert length <= len(expected) + 1
    for row in walk(grammar, rng, 20, length):
        found = Detect().parse(tiny_tokenizer.detokenize(row))
        assert len(found.boxes) == least


def test_distance_is_the_shortest_way_to_the_end(tiny_tokenizer, grammars):
    detect, segment = grammars.values()
    assert detect.min_length == segment.min_length == 1
    rng = np.random.default_rng(1)
    # With exactly the room that a state needs, each walk just ends.
    for grammar in grammars.values():
        for state in rng.choice(len(grammar.table), 50):
            length = int(grammar.distance[state])
            if length:
                walk(grammar, rng, 2, length, starts=state)
                assert not grammar.allowed(np.array([state]), length - 1).any()


def test_spans_of_objects(tiny_tokenizer, grammars):
    text = "<loc0000><loc0000><loc0000><loc0000>{} cat ; "
    for grammar, codes in zip(
        grammars.values(), ("", "<seg001>" * 16), strict=True
    ):
        tokens = list(tiny_tokenizer(text.format(codes) * 2))
        label = tokens[len(tokens) // 2 :][len(tiny_tokenizer(codes)) + 4 :]
        spans = grammar.object_spans([*tokens, 5])
        assert len(spans) == 2
        for first, after_locations, after_codes, last in spans:
            assert after_locations - first == 4
            assert after_codes - after_locations == 16 * bool(codes)
            assert tokens[after_codes:last] == label
        assert grammar.object_spans(tokens[:-1])[0] == spans[0]
        assert len(grammar.object_spans(tokens[:-1])) == 1


def test_a_stack_is_each_of_its_grammars(tiny_tokenizer, grammars):
    parts = [*grammars.values(), build_grammar("dog", tiny_tokenizer)]
    stack = stack_grammars(parts)
    rng = np.random.default_rng(0)
    rows = walk(stack, rng, rows=3, length=75, starts=stack.starts)
    for index, part in enumerate(parts):
        remaining = 50
        states = np.array([0])
        for state in rng.choice(len(part.table), 20):
            offset = sum(len(other.table) for other in parts[:index])
            np.testing.assert_array_equal(
                stack.allowed(states + state + offset, remaining),
                part.allowed(states + state, remaining),
            )
        tokens = [*rows[index], part.end_token_id]
        assert part.accepts(tokens)
        assert stack.accepts(tokens, grammar=index)
        assert stack.object_spans(tokens, index) == part.object_spans(tokens)


def test_a_vocabulary_with_more_rows_than_the_tokenizer(tiny_tokenizer):
    size = tiny_tokenizer.vocabulary_size() + 8
    grammar = build_grammar("cat", tiny_tokenizer, vocabulary_size=size)
    assert grammar.groups.shape == (size,)
    assert not grammar.groups[-8:].any()


def test_errors(tiny_tokenizer):
    with pytest.raises(ValueError, match="things="):
        build_grammar([], tiny_tokenizer)
    with pytest.raises(ValueError, match="min_objects=2, max_objects=1"):
        build_grammar("cat", tiny_tokenizer, min_objects=2, max_objects=1)
    with pytest.raises(ValueError, match="vocabulary_size=500"):
        build_grammar("cat", tiny_tokenizer, vocabulary_size=500)
    with pytest.raises(ValueError, match="entries"):
        build_grammar(THINGS, tiny_tokenizer, max_objects=10**5)
    with pytest.raises(ValueError, match="same vocabulary"):
        stack_grammars([])


def test_the_same_grammar_twice_is_held_once(tiny_tokenizer, grammars):
    detect, segment = grammars.values()
    stack = stack_grammars([detect, segment, detect])
    assert len(stack.table) == len(detect.table) + len(segment.table)
    assert stack.starts[0] == stack.starts[2] == detect.starts[0]
    assert stack.starts[1] == segment.starts[0] + len(detect.table)
    assert (
        stack_grammars([detect] * 5).starts.tolist() == [detect.starts[0]] * 5
    )
