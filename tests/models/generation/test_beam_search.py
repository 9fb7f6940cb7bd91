"""Beam search: its bookkeeping on literals, and exhaustive search."""

import itertools

import keras_hub
import numpy as np
import pytest

from keras_paligemma.models.generation.beam_search import RowBeams
from tests.models import tiny_models

EOS = 1
VOCABULARY = 6


def grow(beams, token_ids, scores, stop=(EOS,)):
    return beams.grow(np.array(token_ids), np.array(scores), set(stop))


def test_beams_grow_from_the_best_parents():
    beams = RowBeams(num_beams=2, limit=3)
    parents = grow(beams, [[4, 5, 2]], [[-0.1, -1.0, -3.0]])
    assert parents == [0, 0]
    assert [(b[0], b[1]) for b in beams.beams] == [(-0.1, [4]), (-1.0, [5])]
    # The second beam's candidates overtake the first one's.
    parents = grow(beams, [[2, 3, 4], [2, 3, 4]], [[-4, -5, -6], [-1, -2, -3]])
    assert parents == [1, 1]
    assert [b[1] for b in beams.beams] == [[5, 2], [5, 3]]
    assert [b[0] for b in beams.beams] == [-2.0, -3.0]
    assert not beams.done
    grow(beams, [[2, 3, 4], [2, 3, 4]], [[-1, -2, -3], [-1, -2, -3]])
    assert beams.done and beams.answer[1] == [5, 2, 2]
    assert beams.answer[2] == [-1.0, -1.0, -1.0]


def test_a_finished_answer_is_set_aside():
    beams = RowBeams(num_beams=2, limit=5)
    grow(beams, [[EOS, 4, 5]], [[-0.5, -0.6, -0.7]])
    # It takes no beam's place, and one open beam may still beat a worse one.
    assert [b[1] for b in beams.beams] == [[4], [5]]
    assert beams.best[:2] == (-0.5, [EOS])
    # Scores only fall: no open beam lies above it any more.
    assert beams.done and beams.answer[1] == [EOS]


def test_an_open_beam_may_overtake_a_finished_answer():
    beams = RowBeams(num_beams=2, limit=5)
    grow(beams, [[4, 5, EOS]], [[-0.1, -0.2, -3.0]])
    assert beams.best is None or not beams.done
    grow(beams, [[2, 3, EOS], [EOS, 2, 3]], [[-0.1, -9, -9], [-0.5, -9, -9]])
    assert beams.best[:2] == (-0.7, [5, EOS]) and not beams.done
    grow(beams, [[EOS, 2, 3], [EOS, 2, 3]], [[-0.1, -9, -9], [-9, -9, -9]])
    assert beams.done and beams.answer[1] == [4, 2, EOS]


def test_ties_go_to_the_earlier_beam():
    beams = RowBeams(num_beams=2, limit=3)
    grow(beams, [[4, 5, 2]], [[-1.0, -1.0, -1.0]])
    assert [b[1] for b in beams.beams] == [[4], [5]]
    assert grow(beams, [[2, 3], [2, 3]], [[-1, -1], [-1, -1]]) == [0, 0]


def test_a_row_whose_candidates_all_finish_is_done():
    beams = RowBeams(num_beams=2, limit=3)
    grow(beams, [[EOS, 2]], [[-0.5, -0.7]], stop=(EOS, 2))
    assert beams.done and beams.answer[1] == [EOS]


@pytest.fixture(scope="module")
def small_vocabulary():
    return tiny_models.tiny_backbone(vocabulary_size=VOCABULARY)


def every_answer(length):
    """All answers of at most `length` tokens, finished or full."""
    for size in range(1, length + 1):
        for head in itertools.product(range(VOCABULARY), repeat=size - 1):
            if EOS not in head:
                last = range(VOCABULARY) if size == length else [EOS]
                yield from ([*head, token] for token in last)


def test_enough_beams_find_the_likeliest_answer(small_vocabulary):
    inputs = tiny_models.prompt_inputs(vocabulary_size=VOCABULARY)
    # Row 1 has room for three new tokens.
    inputs = {
        key: value[:, :9] if value.shape[1] == tiny_models.LENGTH else value
        for key, value in tiny_models.row_alone(inputs, 1).items()
    }
    answers = list(every_answer(3))
    rows = {
        key: np.repeat(value, len(answers), axis=0)
        for key, value in inputs.items()
    }
    beam = keras_hub.samplers.BeamSampler(num_beams=VOCABULARY**2)
    task = tiny_models.tiny_task(small_vocabulary, sampler=beam)
    _, scores = tiny_models.full_pass(task, rows, answers)
    totals = [score.sum() for score in scores]
    best = int(np.argmax(totals))
    outputs, scores = task.generate(
        inputs, stop_token_ids=[EOS], return_scores=True
    )
    assert tiny_models.answers_of(outputs, inputs) == [answers[best]]
    assert scores[0].sum() == pytest.approx(totals[best], abs=1e-4)


def test_one_beam_is_greedy(backbone, task, prompts):
    beam = keras_hub.samplers.BeamSampler(num_beams=1)
    one = tiny_models.tiny_task(backbone, sampler=beam)
    np.testing.assert_array_equal(
        one.generate(prompts, stop_token_ids=None)["token_ids"],
        task.generate(prompts, stop_token_ids=None)["token_ids"],
    )
