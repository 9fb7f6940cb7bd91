"""JAX: layouts on eight simulated devices, and two processes."""

import socket

import keras
import numpy as np
import pytest

from keras_paligemma.training.checkpointing import CheckpointStore
from tests.training.distributed import scripts

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax",
    reason="`keras.distribution` spreads models on JAX only",
)
HERE = "tests.training.distributed"


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    (report,) = scripts.finish(scripts.start(f"{HERE}.jax_layouts", folder))
    return report


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What two processes found; they also saved and read a checkpoint."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    scripts.finish(
        *(
            scripts.start(f"{HERE}.jax_process", folder, address, index)
            for index in range(2)
        )
    )
    store = CheckpointStore(folder / "checkpoints")
    saved = store.latest()[2]["model/embedding/embeddings"]
    store.close()
    found = [dict(np.load(folder / f"{i}.npz")) for i in range(2)]
    return [{**process, "saved": saved} for process in found]


def test_losses_are_those_of_one_device(layouts):
    losses = dict(layouts["losses"])
    expected = losses.pop("one_device")
    assert expected[-1] < expected[0] - 0.5
    assert len(losses) == 4
    for name, found in losses.items():
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=name)


def test_slots_are_split_as_their_variables(layouts):
    path = "decoder/block_0/feedforward/{}_dense/kernel"
    for layout, up, down in (
        ("data_parallel", [None, None], [None, None]),
        ("tensor_parallel", ["model", None], [None, "model"]),
        ("both", ["model", "batch"], ["batch", "model"]),
    ):
        for name, expected in (("up", up), ("down", down)):
            kernel = path.format(name)
            ends = tuple(
                kernel.replace("/", "_") + slot
                for slot in ("_momentum", "_velocity")
            )
            found = layouts["layouts"][layout]
            slots = [s for p, s in found.items() if p.endswith(ends)]
            assert found[kernel] == expected
            assert slots == [expected] * 2


def test_fully_sharded_leaves_no_large_variable_whole(layouts):
    found = layouts["layouts"]["fully_sharded"]
    kernels = {p: s for p, s in found.items() if "kernel" in p.split("_")}
    kernels |= {p: s for p, s in found.items() if p.endswith("/kernel")}
    assert len(kernels) > 20
    assert all("batch" in spec for spec in kernels.values())


def test_factored_and_float32_slots_follow_bfloat16_variables(layouts):
    name = "decoder_block_0_feedforward_{}_dense_kernel_{}"
    found = layouts["layouts"]["factored"]
    for dense, slot, expected in (
        ("up", "rows", ["model"]),
        ("up", "columns", ["batch"]),
        ("up", "momentum", ["model", "batch"]),
        ("down", "rows", ["batch"]),
        ("down", "columns", ["model"]),
    ):
        end = name.format(dense, slot)
        assert [s for p, s in found.items() if p.endswith(end)] == [expected]


def test_checkpoint_moves_between_layouts(layouts):
    assert layouts["differences"] == [0.0, 0.0]


def test_each_device_scores_only_its_own_tokens(layouts):
    # 16 examples of 4 tokens over 8 devices.
    assert layouts["logits_rows"] == 8


def test_two_processes_train_as_one_device(layouts, two_processes):
    for index, process in enumerate(two_processes):
        assert process["share"].tolist() == [index, 2]
        assert process["is_chief"] == (index == 0)
        assert process["is_spread"]
        np.testing.assert_allclose(
            process["losses"], layouts["losses"]["one_device"], rtol=1e-4
        )
    first, second = (process["whole"] for process in two_processes)
    assert first.shape == (320, 32)
    np.testing.assert_array_equal(first, second)


def test_one_process_reads_what_two_saved(two_processes):
    process = two_processes[0]
    np.testing.assert_array_equal(process["saved"], process["whole"])
