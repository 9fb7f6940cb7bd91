"""Models shared by the tests: every compiled function costs seconds."""

import functools

import pytest

from tests import tiny_preset
from tests.models import tiny_models


@pytest.fixture(scope="session")
def backbone():
    """A `PaliGemmaBackbone` of 300 tokens, two decoder blocks, width 32."""
    return tiny_models.tiny_backbone()


@pytest.fixture(scope="session")
def task(backbone):
    """A greedy `PaliGemmaCausalLM` on `backbone`, without a preprocessor."""
    return tiny_models.tiny_task(backbone)


@pytest.fixture(scope="session")
def task_with(backbone):
    """Function of a sampler's name that returns a task compiled with it."""
    import keras_hub

    samplers = keras_hub.samplers
    made = {
        "greedy": samplers.GreedySampler,
        "random": samplers.RandomSampler,
        "top_k": functools.partial(samplers.TopKSampler, k=5),
        "top_p": functools.partial(samplers.TopPSampler, p=0.9),
        "beam": functools.partial(samplers.BeamSampler, num_beams=3),
        "contrastive": functools.partial(samplers.ContrastiveSampler, k=3),
    }

    @functools.cache
    def get(name):
        return tiny_models.tiny_task(backbone, sampler=made[name]())

    return get


@pytest.fixture(scope="session")
def text_task():
    """A task with a preprocessor of 32 tokens and a vocabulary of 1552."""
    task = tiny_preset.tiny_model()
    tiny_models.randomise(task.backbone)
    return task


@pytest.fixture(scope="session")
def prompts():
    """Three rows: prompts of 3, 6 and 5 tokens with 1, 2 and 1 images."""
    return tiny_models.prompt_inputs()
