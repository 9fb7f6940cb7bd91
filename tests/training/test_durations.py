"""Durations: literals worked out by hand, and what is refused."""

import pytest

from keras_paligemma.training.durations import duration_to_steps
from keras_paligemma.training.durations import exact_steps

RUN = {"batch_size": 256, "examples_per_epoch": 443757, "total_steps": 17334}


@pytest.mark.parametrize(
    "duration, steps",
    [
        (1000, 1000),
        (0, 0),
        ("1000 steps", 1000),
        ("1 step", 1),
        ("1_000 steps", 1000),
        ("5e7 examples", 195312),  # 195312.5, the half to the even step
        ("2560 Examples", 10),
        ("10 epochs", 17334),  # 17334.26
        ("0.5 epochs", 867),  # 866.71
        ("5%", 867),  # 866.7
        ("12.5 percent", 2167),  # 2166.75
        ("100%", 17334),
        ("0%", 0),
        ("1 example", 1),  # more than nothing is a step
    ],
)
def test_durations_by_hand(duration, steps):
    assert duration_to_steps(duration, **RUN) == steps


def test_exact_steps_are_not_rounded():
    assert exact_steps("5e7 examples", batch_size=256) == 195312.5
    assert exact_steps(2.5) == 2.5


@pytest.mark.parametrize(
    "duration",
    [
        -1,
        "-5 steps",
        "ten epochs",
        "10",
        "10 parsecs",
        "1__0 steps",
        "",
        None,
        True,
        float("nan"),
        "1e999 steps",
        "101%",
        1.5,
        "1.5 steps",
    ],
)
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(ValueError, match="Received: warmup="):
        duration_to_steps(duration, **RUN, name="warmup")


@pytest.mark.parametrize(
    "duration, absent",
    [
        ("5 examples", "batch_size"),
        ("5 epochs", "batch_size"),
        ("5 epochs", "examples_per_epoch"),
        ("5%", "total_steps"),
    ],
)
def test_what_is_missing_is_named(duration, absent):
    with pytest.raises(ValueError, match=f"`{absent}`"):
        duration_to_steps(duration, **{**RUN, absent: None})
