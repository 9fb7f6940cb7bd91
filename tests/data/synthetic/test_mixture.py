"""The world's tasks as one mixture: which scenes it asks about."""

import pickle

import numpy as np
import pytest

from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic import synthetic_mixture
from keras_paligemma.data.synthetic.mixture import SCENES

WEIGHTS = {"caption": 3.0, "ocr": 1.0, "answer": 2.0, "detect": 2.0}


def scene_of(record):
    return int(record.location.rpartition(":")[2])


def records_of(count, **settings):
    mixture = synthetic_mixture(WEIGHTS, 64, seed=3, **settings)
    return [mixture[index] for index in range(count)]


def test_its_records_are_the_worlds():
    world = SyntheticWorld(
        64, seed=3, split="train", languages=("de",), order="canonical"
    )
    for record in records_of(24, languages=("de",), tasks_per_scene=2):
        own = world.example(scene_of(record), record.task)
        assert (record.prefix, record.suffix) == (own.prefix, own.suffix)
        np.testing.assert_array_equal(record.images[0], own.images[0])


@pytest.mark.parametrize("tasks_per_scene", [1, 2, 20])
def test_no_task_asks_about_a_scene_twice(tasks_per_scene):
    records = records_of(200, tasks_per_scene=tasks_per_scene)
    asked = {(record.task, scene_of(record)) for record in records}
    assert len(asked) == 200
    # Every task keeps its share.
    captions = sum(record.task == "caption" for record in records)
    assert captions == 75


def test_tasks_go_through_the_scenes_in_step():
    for index, record in enumerate(records_of(200, tasks_per_scene=2, part=1)):
        assert abs(scene_of(record) - (SCENES + index / 2)) < 4


@pytest.mark.parametrize("tasks_per_scene", [1, 2])
def test_parts_have_no_scene_in_common(tasks_per_scene):
    mixture = synthetic_mixture(
        WEIGHTS, 64, part=1, tasks_per_scene=tasks_per_scene
    )
    for source in mixture.sources.values():
        first, last = source.records[0], source.records[-1]
        assert SCENES <= scene_of(first) < scene_of(last) < 2 * SCENES


def test_a_scene_of_several_tasks_is_drawn_once(monkeypatch):
    drawn = []
    scene = SyntheticWorld.scene

    def count(self, index, focus="objects"):
        drawn.append((index, focus))
        return scene(self, index, focus)

    monkeypatch.setattr(SyntheticWorld, "scene", count)
    records_of(120, tasks_per_scene=2)
    assert len(drawn) == len(set(drawn)) < 90
    drawn.clear()
    records_of(120)
    assert len(set(drawn)) == 120


def test_a_reader_process_draws_the_same():
    mixture = synthetic_mixture(WEIGHTS, 64, seed=3, tasks_per_scene=2)
    mixture.batch(0, 8)
    sent = pickle.dumps(mixture)
    # What is kept is not sent along.
    assert len(sent) < 20_000
    batch, own = pickle.loads(sent).batch(40, 8), mixture.batch(40, 8)
    assert batch["responses"] == own["responses"]


def test_refuses_less_than_a_task():
    with pytest.raises(ValueError, match="tasks_per_scene=0"):
        synthetic_mixture(WEIGHTS, 64, tasks_per_scene=0)
