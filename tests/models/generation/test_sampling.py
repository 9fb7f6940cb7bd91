"""The host's side of sampling: streams of numbers, rows, the best of n."""

import itertools

import numpy as np

from keras_paligemma.models.generation.sampling import best_of
from keras_paligemma.models.generation.sampling import collect
from keras_paligemma.models.generation.sampling import uniform_numbers
from keras_paligemma.models.generation.whole_loop import answer_lengths

KEYS = [(11, 0), (12, 0), (11, 1)]


def first_numbers(keys, seed, repeats=1, steps=3):
    numbers = uniform_numbers(keys, seed, repeats)
    return np.stack(list(itertools.islice(numbers, steps)), axis=1)


def test_a_rows_numbers_are_its_own():
    together = first_numbers(KEYS, seed=5)
    for row, key in enumerate(KEYS):
        alone = first_numbers([key], seed=5)
        np.testing.assert_array_equal(alone[0], together[row])
    assert np.unique(together).size == together.size
    assert (first_numbers(KEYS, seed=6) != together).all()


def test_the_first_of_several_samples_is_the_only_one():
    several = first_numbers(KEYS, seed=5, repeats=4)
    assert several.shape == (12, 3)
    assert np.unique(several).size == several.size
    np.testing.assert_array_equal(several[::4], first_numbers(KEYS, seed=5))


def test_numbers_are_uniform_and_below_one():
    numbers = first_numbers([(1, 0)], seed=0, steps=4000)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0.0 and numbers.max() < 1.0
    counts, _ = np.histogram(numbers, bins=10, range=(0, 1))
    assert (np.abs(counts - 400) < 5 * 19).all()


def test_best_of_as_documented():
    answers, scores = best_of([[5], [6]], [[-2.0], [-1.0]], 2)
    assert (answers, scores) == ([[6]], [[-1.0]])


def test_best_of_counts_whole_answers():
    answers = [[1], [2, 2], [3], [4, 4]]
    scores = [[-1.5], [-0.5, -0.9], [-2.0], [-1.5, -0.6]]
    assert best_of(answers, scores, 2)[0] == [[2, 2], [3]]


def test_collect_cuts_each_row_where_it_closed():
    steps = [
        (np.array([5, 6]), np.array([-1.0, -2.0]), np.array([True, True])),
        (np.array([7, 8]), np.array([-3.0, -4.0]), np.array([False, True])),
    ]
    answers, scores = collect(steps)
    assert [a.tolist() for a in answers] == [[5], [6, 8]]
    assert [s.tolist() for s in scores] == [[-1.0], [-2.0, -4.0]]
    without = [(tokens, None, is_open) for tokens, _, is_open in steps]
    answers, scores = collect(without)
    assert [a.tolist() for a in answers] == [[5], [6, 8]] and scores is None


def test_answer_lengths_as_documented():
    tokens = np.array([[5, 1, 7], [5, 6, 7]])
    assert answer_lengths(tokens, [3, 2], [1]).tolist() == [2, 2]
    assert answer_lengths(tokens, [3, 2], []).tolist() == [3, 2]
