"""Stages 1, 2 and 3 in small: each begins with the model of the one before."""

import json

import keras
import pytest

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.data import Mixture
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.training import RateSettings
from keras_paligemma.training import Stage
from keras_paligemma.training import train
from tests import tiny_preset

# The tiny vocabulary spells words out.
pytestmark = [
    pytest.mark.filterwarnings("ignore:A text was cut"),
    pytest.mark.filterwarnings("ignore:`fit` read"),
]

CURVE = RateSettings("rsqrt", peak=1e-2, warmup=6, timescale="80 examples")
SLOW = RateSettings("constant", peak=3e-3, warmup=20)
STAGE_1 = Stage(
    "stage 1",
    image_size=28,
    text_length=96,
    examples=240,
    mixture={"caption": 2.0, "answer": 1.0, "detect": 1.0},
    rates=((r"^(.*/)?image_encoder/.*", SLOW), (".*", CURVE)),
    batch_size=8,
)
STAGE_2 = STAGE_1.continued(
    name="stage 2",
    image_size=56,
    text_length=128,
    examples=120,
    batch_size=4,
    mixture={"caption": 1.0, "answer": 1.0, "detect": 2.0},
)
STAGE_3 = Stage(
    "colours",
    image_size=56,
    text_length=96,
    examples=120,
    mixture={"answer": 1.0},
    rates=((".*", RateSettings("cosine", peak=5e-3, warmup="5%")),),
    batch_size=4,
)


def mixture_of(stage, split="train", count=400):
    world = SyntheticWorld(64, seed=1, split=split)
    return Mixture(
        {
            task: (world.task(task, count), weight)
            for task, weight in stage.mixture
        }
    )


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """What each stage logged, and quality before and after it."""
    folder = tmp_path_factory.mktemp("stages")
    preset = folder / "stage 0"
    tiny_preset.tiny_model().save_to_preset(str(preset))
    results = []
    for stage in (STAGE_1, STAGE_2, STAGE_3):
        keras.utils.set_random_seed(0)
        model = PaliGemmaCausalLM.from_preset(
            str(preset), **stage.model_arguments()
        )
        held_out = mixture_of(stage, "test", 16).batch(0, 16)
        before = quality(model, held_out)
        train(
            model,
            stage,
            mixture_of(stage),
            folder / stage.name,
            log_every=1,
            verbose=False,
        )
        preset = folder / stage.name / "model"
        text = (folder / stage.name / "log.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        after = quality(model, held_out)
        print(f"{stage.name}: before {before}, after {after}")
        results.append((lines, before, after))
    return results


def quality(model, examples):
    return {
        name: round(value, 3)
        for name, value in model.evaluate(
            examples, batch_size=8, verbose=0, return_dict=True
        ).items()
    }


def test_the_loss_falls_in_each_stage(stages):
    for lines, before, after in stages:
        assert after["loss"] < before["loss"] - 0.1
        epochs = [line["loss"] for line in lines if "epoch" in line]
        assert epochs[-1] < epochs[0]


def test_a_stage_begins_where_the_one_before_it_stood(stages):
    # The first stage falls far; the second does not fall back to its start.
    assert stages[1][1]["loss"] < stages[0][1]["loss"] - 0.5


def test_the_rates_go_on_from_stage_to_stage(stages):
    first, second = (
        [line for line in stages[index][0] if "epoch" not in line]
        for index in (0, 1)
    )
    for name in ("rate/all", "rate/image_encoder"):
        last, step_before = (
            next(x[name] for x in reversed(first) if x["step"] == step)
            for step in (30, 29)
        )
        # Smaller batches: less than a step of the first stage's.
        assert abs(second[0][name] - last) <= abs(last - step_before) + 1e-9
