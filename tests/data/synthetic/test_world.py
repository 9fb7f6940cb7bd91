"""The world as a source of records: determinism, splits, the seven tasks."""

import pickle

import numpy as np
import pytest

from keras_paligemma.data.synthetic import LANGUAGES
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic import is_valid_question
from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import crop_mask
from keras_paligemma.tasks.mask_vqvae import load_mask_codec


class MeanCodec:
    """Codes each of 16 bands of a crop by how much of it is mask."""

    def encode(self, crops):
        bands = np.reshape(crops, (len(crops), 16, -1))
        return np.round(127 * bands.mean(-1)).astype(int)


@pytest.fixture(scope="module")
def world():
    return SyntheticWorld(languages=LANGUAGES, codec=MeanCodec(), seed=1)


def same(first, second):
    return (
        np.array_equal(first.image, second.image)
        and first.words == second.words
        and [o.box for o in first.objects] == [o.box for o in second.objects]
    )


def test_a_scene_is_a_function_of_seed_split_and_index(world):
    again = pickle.loads(pickle.dumps(world))
    backwards = [again[index] for index in reversed(range(10))][::-1]
    for index, scene in enumerate(backwards):
        assert same(scene, world[index])
    assert not same(world[0], world[1])
    assert same(world[10**15], world[np.int64(10**15)])


def test_splits_and_seeds_are_disjoint():
    worlds = [
        SyntheticWorld(seed=0, split="train"),
        SyntheticWorld(seed=0, split="test"),
        SyntheticWorld(seed=1, split="train"),
    ]
    seen = [w[i].image.tobytes() for w in worlds for i in range(60)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("task", TASKS)
def test_records_follow_the_grammar_of_their_task(world, task):
    for index in range(25):
        record = world.example(index, task)
        grammar = TASKS[task]
        read = grammar.read_prefix(record.prefix)
        assert grammar.prefix(**read) == record.prefix
        assert record.task == task and record.suffix
        assert record == world.example(index, task)
        assert record.location == f"synthetic/train:{index}"
        if "language" in read:
            assert read["language"] == record.language
        raw = record.raw()
        assert raw["prompts"] == record.prefix
        assert np.asarray(raw["images"]).shape == (112, 112, 3)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_every_box_of_each_thing_is_listed(world, task):
    several = absent = 0
    for index in range(60):
        record = world.example(index, task)
        things = TASKS[task].read_prefix(record.prefix)["things"]
        read = TASKS[task].parse(record.suffix, things=things)
        assert not read.problems
        expected = []
        for thing in things:
            *colour, kind = thing.replace("lightning bolt", "bolt").split()
            found = [
                o
                for o in record.scene.objects
                if o.kind == kind and (not colour or o.colour == colour[0])
            ]
            several += len(found) > 1
            absent += not found
            expected += [(thing, o.box) for o in found]
        boxes = [(box.label, box.yxyx) for box in read.boxes]
        assert len(boxes) == len(expected)
        for (label, edges), (thing, box) in zip(
            sorted(boxes), sorted(expected), strict=True
        ):
            assert label == thing
            np.testing.assert_allclose(edges, box, atol=0.5 / 1023 + 1e-9)
        for written, thing in zip(read.boxes, record.objects, strict=True):
            assert written.label == thing.box.label
    assert several and absent


def test_masks_are_coded_from_the_true_crops(world):
    record = world.example(2, "segment")
    masks = TASKS["segment"].parse(record.suffix).masks
    for mask, thing in zip(masks, record.objects, strict=True):
        crop = crop_mask(thing.mask, thing.box)
        assert mask.codes == tuple(MeanCodec().encode(crop[None])[0])


def test_masks_come_back_through_the_shipped_codec():
    codec = load_mask_codec()
    # As reader processes are handed it.
    world = pickle.loads(pickle.dumps(SyntheticWorld(codec=codec)))
    scores = []
    for index in range(12):
        record = world.example(index, "segment")
        masks = TASKS["segment"].parse(record.suffix).masks
        for mask, thing in zip(masks, record.objects, strict=True):
            back = mask.pixels(codec, thing.mask.shape)
            both, either = back & thing.mask, back | thing.mask
            scores.append(both.sum() / either.sum())
    assert len(scores) > 12
    assert np.mean(scores) > 0.9


def test_a_segment_suffix_needs_a_codec():
    world = SyntheticWorld()
    assert world[0].objects[0].mask.any()
    with pytest.raises(ValueError, match="Received: codec=None"):
        world.example(0, "segment")


def test_the_other_tasks_carry_their_truth(world):
    for index in range(25):
        record = world.example(index, "ocr")
        assert record.suffix.split("\n") == list(record.snippets)
        record = world.example(index, "question")
        assert is_valid_question(
            record.scene, record.suffix, record.answer, record.language
        )
        assert record.prefix.endswith(record.answer)
        record = world.example(index, "grounded_caption")
        assert record.suffix == record.objects[0].box.label


def test_the_order_of_boxes_may_be_canonical():
    canonical = SyntheticWorld(order="canonical")
    shuffled = SyntheticWorld(order="shuffled")
    differ = 0
    for index in range(40):
        first = canonical.example(index, "detect")
        second = shuffled.example(index, "detect")
        assert first.prefix == second.prefix
        assert sorted(first.suffix.split(" ; ")) == sorted(
            second.suffix.split(" ; ")
        )
        differ += first.suffix != second.suffix
    assert differ


def test_a_task_is_a_sequence(world):
    records = world.task("caption", count=20, start=100)
    assert len(records) == 20
    assert records[3] == world.example(103, "caption")
    assert records[-1] == world.example(119, "caption")
    assert [r.location for r in records[4:6]] == [
        "synthetic/train:104",
        "synthetic/train:105",
    ]
    with pytest.raises(IndexError):
        records[20]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_size": 8}, "Received: image_size=8"),
        ({"image_size": 112.0}, "Received: image_size=112.0"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"split": ""}, "Received: split=''"),
        ({"scripts": ["runes"]}, "Received: scripts='runes'"),
        ({"languages": []}, "must name one at least"),
        ({"captions": "long"}, "Received: captions='long'"),
        ({"order": "random"}, "Received: order='random'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticWorld(**arguments)


def test_wrong_requests(world):
    with pytest.raises(ValueError, match="Received: task='dance'"):
        world.example(0, "dance")
    with pytest.raises(ValueError, match="Received: count=0"):
        world.task("caption", 0)
    with pytest.raises(ValueError, match="Received: focus='cats'"):
        world.scene(0, "cats")
    for index in (-1, 1.5, "a"):
        with pytest.raises(IndexError, match="0 or above"):
            world[index]
