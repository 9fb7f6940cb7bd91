"""Decoding against full passes, and rows in a batch against rows alone."""

import keras_hub
import numpy as np
import pytest

from tests.models.tiny_models import LENGTH
from tests.models.tiny_models import answers_of
from tests.models.tiny_models import full_pass
from tests.models.tiny_models import greedy_answers
from tests.models.tiny_models import prompt_inputs
from tests.models.tiny_models import row_alone


def generated(task, inputs, **kwargs):
    outputs = task.generate(inputs, stop_token_ids=None, **kwargs)
    if not kwargs.get("return_scores"):
        return answers_of(outputs, inputs)
    return answers_of(outputs[0], inputs), outputs[1]


def test_cached_greedy_decoding_equals_full_passes(task, prompts):
    answers, scores = generated(task, prompts, return_scores=True)
    expected = greedy_answers(task, prompts)
    assert answers == expected
    assert [len(a) for a in answers] == [11, 8, 9]
    # Else a decoder that repeats one token would pass.
    assert max(len(set(answer)) for answer in answers) > 2
    for mine, theirs in zip(
        scores, full_pass(task, prompts, answers)[1], strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "sampler, options, rows",
    [
        ("greedy", {}, (0, 1, 2)),
        ("beam", {}, (0, 1)),
        ("random", {"seed": 3, "best_of": 3}, (0, 1)),
    ],
)
def test_a_row_in_a_batch_equals_the_row_alone(
    task_with, prompts, sampler, options, rows
):
    task = task_with(sampler)
    together = generated(task, prompts, **options)
    for row in rows:
        alone = generated(task, row_alone(prompts, row), **options)
        assert alone == [together[row]]


@pytest.mark.parametrize("sampler", ["top_k", "top_p", "random", "contrastive"])
def test_neighbours_change_nothing(task_with, prompts, sampler):
    task = task_with(sampler)
    seed = None if sampler == "contrastive" else 3
    together = generated(task, prompts, seed=seed)
    others = prompt_inputs(seed=1)
    for row in range(3):
        # The row moves, and other rows stand beside it.
        mixed = {key: value.copy() for key, value in others.items()}
        for key, value in prompts.items():
            mixed[key][(row + 1) % 3] = value[row]
        assert generated(task, mixed, seed=seed)[(row + 1) % 3] == together[row]


@pytest.mark.parametrize("sampler", ["random", "top_k", "top_p"])
def test_seeds_make_answers_repeatable(task_with, prompts, sampler):
    task = task_with(sampler)
    first = generated(task, prompts, seed=1)
    assert generated(task, prompts, seed=1) == first
    assert any(generated(task, prompts, seed=s) != first for s in (2, 3, 4))
    drawn = [generated(task, prompts) for _ in range(4)]
    assert any(answers != drawn[0] for answers in drawn[1:])


def test_a_samplers_own_seed_makes_runs_repeatable(backbone, prompts):
    from tests.models.tiny_models import tiny_task

    task = tiny_task(backbone)
    runs = []
    for _ in range(2):
        # Compiling anew begins the stream anew.
        task.compile(sampler=keras_hub.samplers.RandomSampler(seed=5))
        runs.append([generated(task, prompts) for _ in range(2)])
    assert runs[0] == runs[1]


def test_equal_rows_draw_different_answers(task_with, prompts):
    rows = {key: value[[0, 0, 0]] for key, value in prompts.items()}
    answers = generated(task_with("random"), rows, seed=0)
    assert len({tuple(answer) for answer in answers}) > 1


@pytest.fixture(scope="module")
def forced(prompts):
    """The second half of each prompt is the start of the answer."""
    inputs = {key: value.copy() for key, value in prompts.items()}
    for row, length in enumerate(inputs["padding_mask"].sum(axis=1)):
        inputs["response_mask"][row, length // 2 : length] = 1
    return inputs


def test_a_forced_start_is_causal(task, prompts, forced):
    answers, scores = generated(task, forced, return_scores=True)
    _, expected = full_pass(task, forced, answers)
    for mine, theirs in zip(scores, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert answers == greedy_answers(task, forced)
    _, free = full_pass(task, prompts, answers)
    assert np.abs(free[1] - scores[1]).max() > 0.01


def test_a_forced_start_is_causal_when_scored_later(task, task_with, forced):
    # A sampler with a loop of its own gives no scores while it decodes.
    answers, scores = generated(
        task_with("contrastive"), forced, return_scores=True
    )
    _, expected = full_pass(task, forced, answers)
    for mine, theirs in zip(scores, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("sampler", ["beam", "contrastive"])
def test_scores_of_other_loops_equal_a_full_pass(task_with, prompts, sampler):
    task = task_with(sampler)
    answers, scores = generated(task, prompts, return_scores=True)
    _, expected = full_pass(task_with("greedy"), prompts, answers)
    for mine, theirs in zip(scores, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_best_of_keeps_the_likeliest(task_with, prompts):
    task = task_with("random")
    rows = {key: value[[0, 0, 0]] for key, value in prompts.items()}
    best, scores = generated(task, rows, seed=3, best_of=3, return_scores=True)
    # One sample a row is the first of the three.
    first, first_scores = generated(task, rows, seed=3, return_scores=True)
    for row in range(3):
        assert scores[row].sum() >= first_scores[row].sum() - 1e-4
    assert best != first


def test_stop_tokens_end_a_row_and_are_kept(task, prompts):
    whole = generated(task, prompts)
    stop = whole[0][3]
    assert stop not in whole[0][:3] or whole[0].index(stop) < 3
    outputs = task.generate(prompts, stop_token_ids=[stop])
    for short, full in zip(answers_of(outputs, prompts), whole, strict=True):
        end = full.index(stop) + 1 if stop in full else len(full)
        assert short == full[:end]
    assert len(answers_of(outputs, prompts)[0]) < LENGTH - 3


def test_without_a_preprocessor_a_dict_comes_back(task, prompts):
    outputs = task.generate(prompts, stop_token_ids=None)
    assert set(outputs) == {"token_ids", "padding_mask"}
    assert outputs["token_ids"].shape == (3, LENGTH)
    assert outputs["padding_mask"].dtype == bool
    assert outputs["padding_mask"].all()
    for row, length in enumerate((3, 6, 5)):
        np.testing.assert_array_equal(
            outputs["token_ids"][row, :length],
            prompts["token_ids"][row, :length],
        )
    stripped = task.generate(prompts, stop_token_ids=None, strip_prompt=True)
    new = [
        row[mask].tolist()
        for row, mask in zip(
            stripped["token_ids"], stripped["padding_mask"], strict=True
        )
    ]
    assert new == answers_of(outputs, prompts)


def test_keras_hubs_hooks_give_the_same(task, prompts):
    expected = task.generate(prompts, stop_token_ids=None)
    step = task.make_generate_function()
    outputs = step(prompts)
    np.testing.assert_array_equal(outputs["token_ids"], expected["token_ids"])
    stop = answers_of(expected, prompts)[0][0]
    outputs = task.generate_step(prompts, [stop])
    assert answers_of(outputs, prompts)[0] == [stop]


def test_a_new_sampler_takes_effect(backbone, prompts):
    from tests.models.tiny_models import tiny_task

    task = tiny_task(backbone)
    greedy = generated(task, prompts)
    task.compile(sampler=keras_hub.samplers.TopKSampler(k=50))
    assert any(generated(task, prompts, seed=s) != greedy for s in range(3))
    task.compile(sampler="greedy")
    assert generated(task, prompts) == greedy
