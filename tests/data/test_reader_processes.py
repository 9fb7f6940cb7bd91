"""Reader processes give what the mixture itself gives."""

import json
import os
import tempfile
from collections.abc import Sequence

import numpy as np
import pytest

from keras_paligemma.data import Mixture
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data import Record


def make_mixture():
    image = np.zeros((2, 2, 3), "uint8")
    records = [Record((image + i,), "caption en", str(i)) for i in range(20)]
    broken = Record(("no_such_file.png",), "caption en", "never")
    return Mixture(
        {"good": (records, 3.0), "bad": ([*records[:3], broken], 1.0)},
        on_error="skip",
    )


class Surroundings(Sequence):
    """Records of the environment that they are read in."""

    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = np.zeros((2, 2, 3), "uint8")
        found = json.dumps({name: os.environ.get(name) for name in self.names})
        return Record((image,), "caption en", found)


def texts(batch):
    return batch["prompts"], batch["responses"]


def test_two_processes_give_the_same_batches_and_count_what_they_skip():
    mixture, expected = make_mixture(), make_mixture()
    before = os.environ.get("OMP_NUM_THREADS")
    with ReaderProcesses(mixture, workers=2) as source:
        assert os.environ.get("OMP_NUM_THREADS") == before
        for start in (40, 0, 8):
            batch, own = source.batch(start, 8), expected.batch(start, 8)
            assert texts(batch) == texts(own)
            np.testing.assert_array_equal(
                np.array(batch["images"]), np.array(own["images"])
            )
        # Settings and counts are the mixture's.
        assert source.examples_seen(8) == {"good": 6, "bad": 2}
        assert source.describe() == mixture.describe()
    assert mixture.problems.counts == expected.problems.counts != {}


def test_readers_leave_cores_and_accelerators_to_the_training(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    mixture = Mixture({"seen": (Surroundings(), 1.0)})
    with ReaderProcesses(mixture, workers=2) as source:
        (found,) = {*map(str, source.batch(0, 8)["responses"])}
    assert json.loads(found) == {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
    }
    # And no files behind.
    assert list(tmp_path.iterdir()) == []
    assert os.environ["JAX_PLATFORMS"] == "cuda,cpu"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_examples_read_in_one_go_are_the_same():
    mixture, expected = make_mixture(), make_mixture()
    with ReaderProcesses(mixture, workers=2, at_once=100) as source:
        # Within a block, over its end, on both sides of one, and back.
        for start, size in ((40, 8), (96, 8), (60, 150), (0, 8), (3, 0)):
            batch, own = source.batch(start, size), expected.batch(start, size)
            assert texts(batch) == texts(own)
            np.testing.assert_array_equal(
                np.array(batch["images"]), np.array(own["images"])
            )
        counts = dict(mixture.problems.counts)
        # The last block is still there: nothing is read again.
        source.batch(5, 20)
        assert mixture.problems.counts == counts


def test_an_error_of_a_process_is_raised_here():
    records = [Record(("no_such_file.png",), "caption en", "never")]
    with ReaderProcesses(Mixture({"bad": (records, 1.0)}), 1) as source:
        with pytest.raises(ValueError, match="no_such_file.png"):
            source.batch(0, 1)


def test_there_must_be_a_process():
    with pytest.raises(ValueError, match="workers=0"):
        ReaderProcesses(make_mixture(), 0)
    with pytest.raises(ValueError, match="at_once=0"):
        ReaderProcesses(make_mixture(), 1, at_once=0)
