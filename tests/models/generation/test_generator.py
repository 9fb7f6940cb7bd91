"""Each of Keras-Hub's samplers, custom ones, and what cannot be asked."""

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_paligemma.models.generation import Generator
from keras_paligemma.models.generation import PromptBatch
from tests.models import tiny_models

samplers = keras_hub.samplers


def test_a_custom_sampler_runs(backbone, prompts):
    class Forbidding(samplers.Sampler):
        """Greedy, but for one token."""

        def get_next_token(self, probabilities):
            columns = ops.arange(probabilities.shape[-1])
            allowed = ops.where(columns == FORBIDDEN, 0.0, probabilities)
            return ops.argmax(allowed, axis=-1)

    task = tiny_models.tiny_task(backbone)
    greedy = task.generate(prompts, stop_token_ids=None)
    FORBIDDEN = tiny_models.answers_of(greedy, prompts)[0][0]
    task.compile(sampler=Forbidding())
    outputs = task.generate(prompts, stop_token_ids=None)
    answers = tiny_models.answers_of(outputs, prompts)
    assert all(FORBIDDEN not in answer for answer in answers)


def test_a_speculative_sampler_runs(backbone, task, prompts):
    # A greedy draft that is the model itself is always accepted.
    speculative = samplers.SpeculativeSampler(num_speculative_tokens=2)
    drafting = tiny_models.tiny_task(backbone, sampler=speculative)
    outputs = drafting.generate(prompts, stop_token_ids=None)
    np.testing.assert_array_equal(
        outputs["token_ids"],
        task.generate(prompts, stop_token_ids=None)["token_ids"],
    )


def test_a_contrastive_sampler_without_penalty_is_greedy(
    backbone, task, prompts
):
    sampler = samplers.ContrastiveSampler(k=2, alpha=0.0)
    calm = tiny_models.tiny_task(backbone, sampler=sampler)
    np.testing.assert_array_equal(
        calm.generate(prompts, stop_token_ids=None)["token_ids"],
        task.generate(prompts, stop_token_ids=None)["token_ids"],
    )


def test_padding_before_a_prompt_is_nothing_to_contrast_with(backbone, prompts):
    sampler = samplers.ContrastiveSampler(k=5, alpha=0.9)
    task = tiny_models.tiny_task(backbone, sampler=sampler)
    generator = Generator(task, task.sampler)
    alone = tiny_models.row_alone(prompts, 0)
    answers = [
        generator.generate(PromptBatch.from_inputs(alone, buckets=buckets))
        for buckets in (False, True)
    ]
    np.testing.assert_array_equal(answers[0][0][0], answers[1][0][0])


def test_stop_tokens_end_a_loop_of_its_own(task_with, prompts):
    task = task_with("contrastive")
    outputs = task.generate(prompts, stop_token_ids=None)
    whole = tiny_models.answers_of(outputs, prompts)
    stop = whole[1][2]
    outputs = task.generate(prompts, stop_token_ids=[stop])
    answer = tiny_models.answers_of(outputs, prompts)[1]
    assert answer == whole[1][: whole[1].index(stop) + 1]


@pytest.mark.parametrize("sampler", ["greedy", "beam", "contrastive"])
def test_best_of_needs_a_sampler_that_draws(task_with, prompts, sampler):
    with pytest.raises(ValueError, match="best_of=2, sampler="):
        task_with(sampler).generate(prompts, stop_token_ids=None, best_of=2)


def test_best_of_must_be_positive(task, prompts):
    with pytest.raises(ValueError, match="best_of=0"):
        task.generate(prompts, stop_token_ids=None, best_of=0)


def test_auto_stop_needs_a_preprocessor(task, prompts):
    with pytest.raises(ValueError, match="preprocessor=None"):
        task.generate(prompts)
    with pytest.raises(ValueError, match="stop_token_ids='eos'"):
        task.generate(prompts, stop_token_ids="eos")
    with pytest.raises(ValueError, match="preprocessor=None"):
        next(task.generate_stream(prompts))
    with pytest.raises(ValueError, match="type list"):
        task.generate([prompts])
