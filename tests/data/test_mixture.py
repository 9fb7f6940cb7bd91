import collections
import pickle

import keras
import numpy as np
import pytest

from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.reading import read_batches
from keras_paligemma.data.record import Record
from keras_paligemma.data.shuffling import shuffled_index
from keras_paligemma.data.source import Source

WEIGHTS = {"a": 3.0, "b": 1.0, "c": 0.7}


def make_records(count, **kwargs):
    image = np.zeros((2, 2, 3), "uint8")
    return [
        Record((image + i % 200,), "caption en", str(i), **kwargs)
        for i in range(count)
    ]


def make_mixture(**kwargs):
    sizes = {"a": 1000, "b": 77, "c": 9}
    return Mixture(
        {n: (make_records(sizes[n]), w) for n, w in WEIGHTS.items()}, **kwargs
    )


@pytest.mark.parametrize("size", [1, 2, 9, 1000, 70_000])
def test_each_epoch_is_a_permutation_of_its_own(size):
    count = min(size, 2000)
    first = [shuffled_index(i, size, seed=1) for i in range(count)]
    second = [shuffled_index(i, size, seed=2) for i in range(count)]
    assert len(set(first)) == count
    assert set(first) <= set(range(size))
    assert size < 3 or first != second


def test_proportions_over_100_000_draws():
    mixture = make_mixture()
    drawn = collections.Counter(mixture.locate(i)[0] for i in range(100_000))
    for name, weight in WEIGHTS.items():
        expected = weight / sum(WEIGHTS.values()) * 100_000
        assert abs(drawn[name] / expected - 1) < 0.01
    assert mixture.examples_seen(100_000) == drawn


@pytest.mark.parametrize("count", [0, 1, 17, 999])
def test_examples_seen_are_those_that_are_located(count):
    mixture = make_mixture()
    drawn = collections.Counter(mixture.locate(i)[0] for i in range(count))
    seen = mixture.examples_seen(count)
    assert seen == {name: drawn[name] for name in WEIGHTS}
    assert mixture.epochs_seen(count)["c"] == seen["c"] / 9


def test_each_source_goes_through_all_its_records_each_epoch():
    mixture = make_mixture(seed=5)
    epochs = collections.defaultdict(list)
    for index in range(600):
        name, epoch, example = mixture.locate(index)
        if name == "c":
            epochs[epoch].append(example)
    assert sorted(epochs) == list(range(len(epochs)))
    whole = [epochs[epoch] for epoch in range(len(epochs) - 1)]
    assert len(whole) > 8
    assert all(sorted(order) == list(range(9)) for order in whole)
    assert len({tuple(order) for order in whole}) == len(whole)


def test_a_billion_examples_are_counted_at_once():
    seen = make_mixture().examples_seen(10**9)
    assert sum(seen.values()) == 10**9
    share = WEIGHTS["a"] / sum(WEIGHTS.values())
    assert abs(seen["a"] / 10**9 / share - 1) < 1e-6


def test_counts_by_task():
    records = make_records(5)
    mixture = Mixture(
        [
            Source("coco", records, 1.0, task="caption"),
            Source("flickr", records, 1.0, task="caption"),
            Source("boxes", records, 2.0),
        ]
    )
    assert mixture.examples_seen(100, by="task") == {
        "caption": 50,
        "boxes": 50,
    }
    assert mixture.epochs_seen(100, by="task") == {"caption": 5, "boxes": 10}


def test_another_seed_gives_another_order():
    one, other = make_mixture(seed=1), make_mixture(seed=2)
    assert one.locate(7) == make_mixture(seed=1).locate(7)
    assert [one.locate(i) for i in range(50)] != [
        other.locate(i) for i in range(50)
    ]


def test_resuming_gives_the_same_sequence():
    through = [make_mixture().batch(i * 4, 4) for i in range(6)]
    resumed = list(read_batches(make_mixture(), 4, first_step=3, steps=3))
    assert [b["responses"] for b in resumed] == [
        b["responses"] for b in through[3:]
    ]
    assert all(len(batch["images"]) == 4 for batch in through)


@pytest.mark.parametrize("process_count", [2, 3, 4])
def test_shares_of_processes_are_disjoint_and_alike(process_count):
    # Two sources of one weight would be split between two fixed strides.
    records = make_records(4000)
    whole = Mixture({"a": (records, 1.0), "b": (records, 1.0)})
    parts = [whole.shard(i, process_count) for i in range(process_count)]
    shares = [[part.locate(i) for i in range(500)] for part in parts]
    together = [address for share in shares for address in share]
    total = 500 * process_count
    assert len(set(together)) == total
    assert set(together) == {whole.locate(i) for i in range(total)}
    for share in shares:
        names = collections.Counter(name for name, *_ in share)
        assert 200 < names["a"] < 300
    assert parts[0].examples_seen(500) == whole.examples_seen(total)


def test_weights_of_another_stage_go_on_where_the_sources_stood():
    first = make_mixture()
    second = first.with_weights({"a": 1.0, "c": 1.0}, after=1000)
    before = {first.locate(i) for i in range(1000)}
    after = {second.locate(i) for i in range(600)}
    assert not before & after
    assert second.examples_seen(600) == {"a": 300, "c": 300}
    assert second.epochs_seen(0) == {
        "a": first.epochs_seen(1000)["a"],
        "c": first.epochs_seen(1000)["c"],
    }
    third = second.with_weights({"b": 1.0})
    assert third.epochs_seen(0)["b"] == first.epochs_seen(1000)["b"]


def test_captions_are_drawn_without_replacement():
    choices = tuple("pqrst")
    record = make_records(1, choices=choices)
    mixture = Mixture({"captions": (record, 1.0)})
    drawn = [mixture[i].suffix for i in range(25)]
    cycles = [tuple(drawn[i : i + 5]) for i in range(0, 25, 5)]
    assert all(sorted(cycle) == sorted(choices) for cycle in cycles)
    assert len(set(cycles)) > 1


def test_augmentation_depends_on_the_index_alone():
    def augment(record, rng):
        text = f"{record.suffix} {rng.integers(10**9)}"
        return Record(record.images, record.prefix, text)

    one, two = make_mixture(augment=augment), make_mixture(augment=augment)
    backwards = [two[i].suffix for i in reversed(range(20))]
    forwards = [one[i].suffix for i in range(20)]
    assert forwards == backwards[::-1]
    assert len({text.split()[1] for text in forwards}) == 20


def broken_mixture(on_error):
    records = make_records(20)
    records[3] = Record((b"no image",), "caption en", "x", location="t:4")
    return Mixture({"a": (records, 1.0)}, on_error=on_error)


def test_an_unreadable_image_is_named():
    with pytest.raises(ValueError, match="t:4: the image of 8 bytes"):
        broken_mixture("raise").batch(0, 20)


def test_an_unreadable_image_is_replaced_and_counted():
    mixture = broken_mixture("skip")
    batch = mixture.batch(0, 20)
    assert mixture.problems.counts == {"unreadable image": 1}
    assert "x" not in batch["responses"]
    assert (
        batch["responses"] == broken_mixture("skip").batch(0, 20)["responses"]
    )


def test_nothing_but_unreadable_images_is_an_error():
    records = [Record(("absent.png",), "caption en", "x")]
    mixture = Mixture({"a": (records, 1.0)}, on_error="skip")
    with pytest.raises(ValueError, match="'a' cannot be read"):
        mixture[0]


@pytest.mark.parametrize(
    "sources, match",
    [
        ({}, "one source at least"),
        ({"a": ([], 1.0)}, "'a' has no records"),
        ({"a": (make_records(1), 0.0)}, "weight of the source 'a'"),
        ({"a": (make_records(1), -1)}, "weight of the source 'a'"),
        ({"a": (make_records(1), float("nan"))}, "weight of the source 'a'"),
        ({"a": (iter(()), 1.0)}, "'a' must be a sequence"),
        ({"a": make_records(1)}, r"'a' must be a pair"),
        ([Source("a", make_records(1))] * 2, r"repeated names \['a'\]"),
    ],
)
def test_faulty_sources(sources, match):
    with pytest.raises(ValueError, match=match):
        Mixture(sources)


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda m: m[-1], "`index`"),
        (lambda m: m[0.5], "`index`"),
        (lambda m: m.shard(2, 2), "`process_index`"),
        (lambda m: m.shard(0, 2).shard(0, 2), "divided again"),
        (lambda m: m.with_weights({"z": 1.0}), r"unknown names \['z'\]"),
        (lambda m: m.with_weights({"a": 0}), "weight of the source 'a'"),
        (lambda m: m.with_weights({}), "by the names of sources"),
        (lambda m: m.examples_seen(3, by="file"), "`by`"),
        (lambda m: make_mixture(on_error="ignore"), "`on_error`"),
    ],
)
def test_faulty_arguments(call, match):
    with pytest.raises(ValueError, match=match):
        call(make_mixture())


def test_a_mixture_can_be_pickled():
    mixture = make_mixture().shard(1, 2)
    copy = pickle.loads(pickle.dumps(mixture))
    assert copy.locate(99) == mixture.locate(99)


# Each reader imports the package: it is slow, and reading has no backend.
@pytest.mark.skipif(
    keras.config.backend() != "jax", reason="once is enough: on JAX"
)
def test_four_readers_give_what_one_gives():
    one, four = broken_mixture("skip"), broken_mixture("skip")
    expected = list(read_batches(one, 4, steps=6))
    read = list(read_batches(four, 4, steps=6, workers=4))
    for key in ("prompts", "responses"):
        assert [b[key] for b in read] == [b[key] for b in expected]
    np.testing.assert_array_equal(
        [b["images"] for b in read], [b["images"] for b in expected]
    )
    assert four.problems.counts == one.problems.counts
