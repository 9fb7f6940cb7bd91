"""A run killed at random points ends as one that was left alone."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

KILLS = 20


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """What is left of a whole run and of one that was killed 20 times."""
    directory = tmp_path_factory.mktemp("runs")
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "tests.training.killed_run"),
            *(str(directory), str(KILLS), "1"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
    )
    assert completed.returncode == 0, completed.stderr
    exits = json.loads(completed.stdout.splitlines()[-1])
    assert exits == [0, *[-9] * KILLS, 0], completed.stderr
    with (
        np.load(directory / "whole.npz") as whole,
        np.load(directory / "broken.npz") as broken,
    ):
        return dict(whole), dict(broken)


def test_every_variable_is_equal_to_the_bit(ends):
    whole, broken = ends
    assert set(whole) == set(broken)
    # Weights, means of gradients, counters and seeds.
    for kind in ("decoder", "velocity", "iteration", "seed_generator"):
        assert any(kind in name for name in whole), kind
    for name in set(whole) - {"facts"}:
        np.testing.assert_array_equal(whole[name], broken[name], err_msg=name)


def test_counters_and_random_draws_are_equal(ends):
    whole, broken = (json.loads(str(end["facts"])) for end in ends)
    assert whole == broken
    assert whole["counter"]["batches"] == 41


def test_keeps_the_newest_and_every_tenth(ends):
    facts = json.loads(str(ends[1]["facts"]))
    assert facts["steps"] == [10, 20, 30, 40, 41]
