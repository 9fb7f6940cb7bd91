"""Rates over several stages: where they join, and the formula."""

import dataclasses

import numpy as np
import pytest

from keras_paligemma.training import STAGE_1
from keras_paligemma.training import STAGE_2_448
from keras_paligemma.training import STAGE_2_896
from keras_paligemma.training import RateSettings
from keras_paligemma.training import Stage
from keras_paligemma.training.schedule_curves import schedule_curves

COMPONENTS = ["image_encoder", "projector", "embedding", "decoder"]


def three_stages(first_batch, later_batch):
    """The three stages with two batch sizes, the curve kept in examples."""
    first = dataclasses.replace(STAGE_1, batch_size=first_batch)
    second = first.continued(
        name="2a",
        batch_size=later_batch,
        examples=STAGE_2_448.examples,
    )
    return [
        first,
        second,
        second.continued(name="2b", examples=STAGE_2_896.examples),
    ]


def closed_form(examples, image_encoder):
    """Section 5 of the design, in float64, with one batch size of 2048."""
    step = examples / 2048
    warmup, shift = (50_000, 45_000) if image_encoder else (5_000, 0)
    after = 2e-5 / np.sqrt(1 + np.maximum(step + shift - warmup, 0) / 10_000)
    # The image encoder's shift lets its ramp end on the others' curve.
    after = np.where(step < warmup, 2e-5 / np.sqrt(1 + shift / 10_000), after)
    return after * np.minimum(step / warmup, 1)


@pytest.mark.parametrize(
    "stages",
    [
        [STAGE_1, STAGE_2_448, STAGE_2_896],
        three_stages(4096, 512),
        three_stages(1024, 8192),
    ],
    ids=["published", "smaller batches", "larger batches"],
)
@pytest.mark.parametrize("component", COMPONENTS)
def test_three_stages_are_one_curve(stages, component):
    curves = schedule_curves(stages, points=200)[component]
    for stage, curve in zip(stages, curves, strict=True):
        assert curve.stage == stage.name
        assert (curve.steps[0], curve.steps[-1]) == (0, stage.total_steps() - 1)
        np.testing.assert_allclose(
            curve.rates,
            closed_form(curve.examples, component == "image_encoder"),
            rtol=2e-5,
        )
    for stage, before, after in zip(stages, curves, curves[1:], strict=False):
        # From the last update of a stage to the first of the next is one
        # step of examples, and one step's change of rate.
        assert after.examples[0] - before.examples[-1] == stage.batch_size
        change = abs(after.rates[0] - before.rates[-1])
        slope = closed_form(before.examples[-1:] + [0, stage.batch_size], False)
        assert change <= 1.5 * abs(slope[1] - slope[0]) + 1e-11


def small_stage(**changes):
    return Stage(
        **{
            "name": "small",
            "image_size": 28,
            "text_length": 8,
            "mixture": {"caption": 1.0},
            "rates": [(".*", RateSettings("cosine", peak=1.0, warmup="10%"))],
            "batch_size": 4,
            "examples": 400,
            **changes,
        }
    )


def test_points_hold_the_ends_and_the_top():
    (curve,) = schedule_curves([small_stage()], points=7)["decoder"]
    assert {0, 10, 99} <= set(curve.steps.tolist())
    assert curve.rates.max() == 1.0
    (every,) = schedule_curves([small_stage()], points=None)["decoder"]
    assert every.steps.tolist() == list(range(100))
    assert every.examples.tolist() == list(range(0, 400, 4))


def test_frozen_components_have_no_rates():
    rate = RateSettings("constant", peak=1e-5)
    stage = small_stage(rates=[("image_encoder/.*", None), (".*", rate)])
    curves = schedule_curves([stage, small_stage(name="next")])
    assert list(curves) == COMPONENTS
    assert curves["image_encoder"][0].rates is None
    assert curves["image_encoder"][1].rates is not None
    assert curves["decoder"][1].examples[0] == 400


def test_a_component_with_two_rates_has_two_curves():
    slow, fast = (RateSettings("constant", peak=p) for p in (1e-6, 1e-5))
    stage = small_stage(rates=[(".*/block_0/.*", slow), (".*", fast)])
    curves = schedule_curves([stage])
    rates = {name: float(c[0].rates[-1]) for name, c in curves.items()}
    assert rates == pytest.approx(
        {
            "image_encoder (.*)": 1e-5,
            "image_encoder (.*/block_0/.*)": 1e-6,
            "projector": 1e-5,
            "embedding": 1e-5,
            "decoder (.*/block_0/.*)": 1e-6,
            "decoder (.*)": 1e-5,
        }
    )


def test_epochs_need_the_size_of_the_set():
    stage = small_stage(examples=None, epochs=2)
    with pytest.raises(ValueError, match="examples_per_epoch"):
        schedule_curves([stage])
    (curve,) = schedule_curves([stage], examples_per_epoch=40)["decoder"]
    assert curve.steps[-1] == 19


def test_mistakes_are_named():
    rate = RateSettings("constant", peak=1.0)
    partial = small_stage(rates=[("decoder/.*", rate)])
    with pytest.raises(
        ValueError, match="image_encoder/patch_embedding/kernel"
    ):
        schedule_curves([partial])
    with pytest.raises(ValueError, match="stages=\\[\\]"):
        schedule_curves([])
