import contextlib
import os
import resource
import signal

import ml_dtypes
import numpy as np
import pytest

from keras_paligemma.training.checkpointing import CheckpointStore


def arrays(step=0):
    generator = np.random.default_rng(step)
    return {
        "model/decoder/block_0/kernel": generator.normal(size=(4, 3)),
        "model/half": generator.normal(size=5).astype(ml_dtypes.bfloat16),
        "optimizer/iteration": np.array([step], "int32"),
        "model/seed": np.array([1, 2**32 - 1], "uint32"),
        "model/packed": np.array([-8, 7], "int8"),
    }


@pytest.fixture
def store(tmp_path):
    store = CheckpointStore(tmp_path, keep=3)
    yield store
    store.close()


def fill(store, steps=(1, 2, 3)):
    for step in steps:
        store.save(step, arrays(step), {"epoch": step, "best": None})
    store.wait()


def largest_file(folder):
    files = [p for p in (folder / "arrays").rglob("*") if p.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def test_gives_back_what_was_saved_to_the_bit(store):
    fill(store)
    step, facts, read = store.latest()
    assert (step, facts) == (3, {"epoch": 3, "best": None})
    expected = arrays(3)
    assert set(read) == set(expected)
    for name, array in expected.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_an_empty_store_has_nothing(store):
    assert store.latest() is None


def test_another_process_reads_it(store, tmp_path):
    fill(store)
    again = CheckpointStore(tmp_path)
    assert again.latest()[0] == 3
    again.close()


def test_keeps_the_newest_and_some_for_ever(tmp_path):
    store = CheckpointStore(tmp_path, keep=2, keep_every=4)
    fill(store, range(1, 11))
    assert store.steps() == [4, 8, 9, 10]
    store.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "no facts"])
def test_passes_over_a_damaged_checkpoint(store, tmp_path, damage):
    fill(store)
    file = largest_file(tmp_path / "3")
    if damage == "flipped":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif damage == "missing":
        file.unlink()
    else:
        (tmp_path / "3" / "facts" / "metadata").write_text("{")
    with pytest.warns(UserWarning, match="step 3 .* is damaged: .*/3/"):
        step, facts, read = store.latest()
    assert step == 2
    np.testing.assert_array_equal(read["optimizer/iteration"], [2])
    # The run comes to that step again.
    store.save(3, arrays(30), {})
    store.wait()
    assert store.latest()[2]["optimizer/iteration"] == [30]


def test_a_kill_before_the_checksums_leaves_it_usable(store, tmp_path):
    fill(store)
    (tmp_path / "3" / "checksums.json").unlink()
    assert store.latest()[0] == 3


@pytest.mark.filterwarnings("ignore:The checkpoint of step")
def test_says_so_if_no_checkpoint_is_whole(store, tmp_path):
    fill(store, [1])
    largest_file(tmp_path / "1").unlink()
    with pytest.raises(ValueError, match="is whole. Received: step 1: .*miss"):
        store.latest()
    assert (tmp_path / "1").is_dir()


def test_a_full_disk_is_named_and_nothing_is_lost(store, tmp_path):
    fill(store)
    # What does not compress.
    big = np.random.default_rng(0).normal(size=(300_000,))
    with (
        files_limited_to(500_000),
        pytest.raises(OSError, match="step 4 could not be .*: \\[1, 2, 3\\]"),
    ):
        store.save(4, {"model/big": big}, {})
        store.wait()
    assert store.latest()[0] == 3
    # With room on the disk the run goes on.
    store.save(4, {"model/big": big}, {})
    store.wait()
    np.testing.assert_array_equal(store.latest()[2]["model/big"], big)


@contextlib.contextmanager
def files_limited_to(size):
    """A disk on which no file can be longer than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", ["keep", "keep_every"])
def test_refuses_to_keep_nothing(tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}` must be 1 or more"):
        CheckpointStore(tmp_path, **{name: 0})
