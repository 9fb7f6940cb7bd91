"""Schedules against their formulas, written out in float64 with `math`."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.training import rate_functions
from keras_paligemma.training import schedules

PEAK, WARMUP, COOLDOWN, TOTAL = 2e-5, 40_000, 200_000, 4_000_000
STEPS = [0, 1, 20_000, 39_999, 40_000, 40_001, 1_234_567, 3_799_999]
STEPS += [3_800_001, 3_999_990, 3_999_999, 4_000_000]
ENDS = {
    "warmup_steps": WARMUP,
    "cooldown_steps": COOLDOWN,
    "total_steps": TOTAL,
}


def ends(step):
    return min(1, step / WARMUP) * min(1, (TOTAL - step) / COOLDOWN)


def progress(step):
    return max(0, step - WARMUP) / (TOTAL - WARMUP)


def cosine(step):
    # Near the end 1 + cos loses all digits even in float64: there the same
    # number is taken as a squared sine.
    written = (1 + math.cos(math.pi * progress(step))) / 2
    left = (TOTAL - max(step, WARMUP)) / (TOTAL - WARMUP)
    exact = math.sin(math.pi / 2 * left) ** 2
    assert abs(written - exact) < 1e-15
    return PEAK * exact * ends(step)


def linear(step):
    return (1e-6 + (PEAK - 1e-6) * (1 - progress(step))) * ends(step)


def rsqrt(step):
    gone = max(0, step - WARMUP) + 777.5
    return PEAK / math.sqrt(1 + gone / 12_345.6) * ends(step)


CASES = {
    "constant": ({}, lambda step: PEAK * ends(step)),
    "cosine": ({}, cosine),
    "linear": ({"end": 1e-6}, linear),
    "rsqrt": ({"timescale": 12_345.6, "shift": 777.5}, rsqrt),
}
CLASSES = {
    "constant": schedules.ConstantSchedule,
    "cosine": schedules.CosineSchedule,
    "linear": schedules.LinearSchedule,
    "rsqrt": schedules.RsqrtSchedule,
}
each = pytest.mark.parametrize("shape", CASES)


def rates(shape, step, **arguments):
    function = getattr(rate_functions, f"{shape}_rate")
    return ops.convert_to_numpy(function(step, PEAK, **arguments))


@each
def test_functions_equal_the_formulas_to_a_millionth(shape):
    extra, formula = CASES[shape]
    expected = [formula(step) for step in STEPS]
    for kind in (
        np.array(STEPS),
        np.array(STEPS, "float64"),
        ops.convert_to_tensor(np.array(STEPS, "int32")),
        ops.convert_to_tensor(np.array(STEPS, "float32")),
    ):
        found = rates(shape, kind, **ENDS, **extra)
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    for step, value in zip(STEPS, expected, strict=True):
        for number in (step, float(step)):
            found = rates(shape, number, **ENDS, **extra)
            assert found == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    "shape, steps, arguments, expected",
    [
        ("constant", [0, 2, 4, 9], {"warmup_steps": 4}, [0, 0.5, 1, 1]),
        (
            "constant",
            [0, 6, 8, 10, 12],
            {"cooldown_steps": 4, "total_steps": 10},
            [1, 1, 0.5, 0, 0],
        ),
        (
            "cosine",
            [0, 2, 4, 8, 12, 13],
            {"warmup_steps": 4, "total_steps": 12},
            [0, 0.5, 1, 0.5, 0, 0],
        ),
        (
            "linear",
            [0, 2, 4, 8, 12, 13],
            {"warmup_steps": 4, "total_steps": 12, "end": 0.2 * PEAK},
            [0, 0.5, 1, 0.6, 0.2, 0.2],
        ),
        (
            "rsqrt",
            [0, 2, 4, 7],
            {"warmup_steps": 4, "timescale": 1},
            [0, 0.5, 1, 0.5],
        ),
        (
            "rsqrt",
            [0, 2, 4, 9],
            {"warmup_steps": 4, "timescale": 1, "shift": 3},
            [0, 0.25, 0.5, 1 / 3],
        ),
    ],
)
def test_values_by_hand(shape, steps, arguments, expected):
    found = rates(shape, np.array(steps), **arguments) / PEAK
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@each
def test_schedules_equal_functions_and_survive_a_round_trip(shape):
    extra, formula = CASES[shape]
    schedule = CLASSES[shape](PEAK, **ENDS, **extra)
    config = keras.optimizers.schedules.serialize(schedule)
    assert config["registered_name"].startswith("keras_paligemma>")
    again = keras.optimizers.schedules.deserialize(config)
    assert again.get_config() == schedule.get_config()
    for step in (0, 30_000, 3_900_000):
        assert float(again(step)) == pytest.approx(formula(step), rel=1e-6)


def test_an_optimizer_takes_its_rate_from_its_own_count():
    schedule = schedules.CosineSchedule(1.0, total_steps=4, warmup_steps=2)
    optimizer = keras.optimizers.SGD(schedule)
    weight = keras.Variable([10.0])
    optimizer.build([weight])
    found = []
    for _ in range(4):
        before = float(weight.numpy()[0])
        optimizer.apply([ops.ones((1,))])
        found.append(before - float(weight.numpy()[0]))
    np.testing.assert_allclose(found, [0, 0.5, 1, 0.5], atol=1e-6)


@each
def test_a_schedule_longer_than_the_run_is_refused(shape):
    with pytest.raises(ValueError, match="must fit in the run"):
        CLASSES[shape](
            PEAK, warmup_steps=60, cooldown_steps=41, total_steps=100
        )
    CLASSES[shape](PEAK, warmup_steps=60, cooldown_steps=40, total_steps=100)
    with pytest.raises(ValueError, match="warmup_steps=1.5"):
        CLASSES[shape](PEAK, warmup_steps=1.5, total_steps=100)
    with pytest.raises(ValueError, match="peak=-1"):
        CLASSES[shape](-1, total_steps=100)


def test_a_cooldown_needs_an_end():
    with pytest.raises(ValueError, match="total_steps=None"):
        rate_functions.rsqrt_rate(0, PEAK, cooldown_steps=1)


@pytest.mark.parametrize(
    "bad", [{"timescale": 0}, {"timescale": math.inf}, {"shift": -1}]
)
def test_a_curve_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match=f"Received: {next(iter(bad))}="):
        schedules.RsqrtSchedule(PEAK, **bad)


def test_the_next_shift_goes_on_along_the_curve():
    # 5,000 steps of 256, of which 1,000 warmed up: 4,000 * 256 / 64 gone.
    shift = rate_functions.next_rsqrt_shift(5000, 256, 64, warmup_steps=1000)
    assert shift == 16_000
    first = schedules.RsqrtSchedule(PEAK, warmup_steps=1000)
    second = schedules.RsqrtSchedule(PEAK, timescale=40_000, shift=shift)
    for step in (0, 10, 4000):
        assert float(second(4 * step)) == pytest.approx(
            float(first(5000 + step)), rel=1e-6
        )
    again = rate_functions.next_rsqrt_shift(100, 64, 128, shift=shift)
    assert again == 8_050
    # A stage with a warm-up is on the curve again when it ends.
    assert rate_functions.next_rsqrt_shift(100, next_warmup_steps=7) == 107


def test_a_stage_that_ended_in_its_warm_up_has_no_next_shift():
    with pytest.raises(ValueError, match="within its warm-up"):
        rate_functions.next_rsqrt_shift(99, warmup_steps=100)
    with pytest.raises(ValueError, match="next_batch_size=0"):
        rate_functions.next_rsqrt_shift(99, 1, 0)
