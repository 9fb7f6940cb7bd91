"""Batches of texts of about one length."""

import numpy as np
import pytest

from keras_paligemma.training import TrainingBatches
from keras_paligemma.training.length_groups import group_by_length
from keras_paligemma.training.length_groups import rounded_length


def test_what_the_docstrings_print():
    groups = group_by_length([9, 2, 8, 1], 2, seed=0)
    assert [rows.tolist() for rows in groups] == [[3, 1], [2, 0]]
    assert rounded_length(37, limit=64) == 48


def test_lengths_are_rounded_up_to_the_limit():
    assert [rounded_length(n, 40) for n in (1, 16, 17, 39, 90)] == [
        16,
        16,
        32,
        40,
        40,
    ]


@pytest.mark.parametrize("seed", range(5))
def test_each_example_is_in_one_batch_with_its_like(seed):
    lengths = np.random.default_rng(seed).integers(1, 100, 32)
    groups = group_by_length(lengths, 8, seed)
    assert sorted(np.concatenate(groups).tolist()) == list(range(32))
    spans = sorted((lengths[g].min(), lengths[g].max()) for g in groups)
    for (_, longest), (shortest, _) in zip(spans, spans[1:], strict=False):
        assert longest <= shortest


def test_the_order_of_the_batches_is_drawn():
    lengths = np.arange(64)
    firsts = {
        tuple(int(g[0]) for g in group_by_length(lengths, 8, seed))
        for seed in range(5)
    }
    assert len(firsts) > 1


class Texts:
    """A source of texts; example `i` has `i % 23` letters."""

    def batch(self, start, size):
        rows = range(start, start + size)
        return {
            "prompts": [str(i) for i in rows],
            "responses": ["x" * (i % 23) for i in rows],
        }


class Letters:
    """Stands in for a preprocessor: a letter is a token."""

    sequence_length = 20

    def num_tokens(self, raw):
        return [len(text) + 3 for text in raw["responses"]]

    def __call__(self, raw, sequence_length=None):
        return raw["prompts"], sequence_length


def batches_of(**changes):
    settings = {"batch_size": 4, "total_steps": 10, "length_window": 3}
    return TrainingBatches(Texts(), Letters(), **{**settings, **changes})


def test_a_window_holds_each_example_once_in_short_batches():
    batches = batches_of()
    steps = [batches.at_step(step) for step in range(9)]
    for first in (0, 3, 6):
        drawn = [
            int(p) for prompts, _ in steps[first : first + 3] for p in prompts
        ]
        assert sorted(drawn) == list(range(first * 4, first * 4 + 12))
    for prompts, length in steps:
        longest = max(int(p) % 23 + 3 for p in prompts)
        assert length == rounded_length(longest - 1, 20)
    assert {length for _, length in steps} == {16, 20}


def test_a_step_is_its_batch_whatever_was_read_before():
    expected = batches_of()
    expected = {step: expected.at_step(step) for step in range(10)}
    batches = batches_of(ahead=1)
    for step in (9, 0, 5, 5, 2, 8, 1):
        assert batches.at_step(step) == expected[step]
        assert batches.raw(step)["prompts"] == expected[step][0]


def test_an_error_of_the_source_reaches_every_step_of_the_window():
    class Broken(Texts):
        def batch(self, start, size):
            raise ValueError("broken.jsonl:7")

    batches = TrainingBatches(
        Broken(), Letters(), 4, total_steps=3, length_window=3
    )
    for step in (0, 1):
        with pytest.raises(ValueError, match="broken.jsonl:7"):
            batches.at_step(step)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"length_window": 0}, "length_window=0"),
        ({"process_count": 2}, "process_count=2"),
    ],
)
def test_mistakes(changes, said):
    with pytest.raises(ValueError, match=said):
        batches_of(**changes)
