"""PyTorch: `fit` in two processes under torchrun, beside one process."""

import keras
import numpy as np
import pytest

from tests.training.distributed import scripts
from tests.training.distributed import tiny_run

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="torchrun is PyTorch's own"
)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torchrun")
    scripts.finish(
        scripts.start(
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            "--module",
            "tests.training.distributed.torch_process",
            folder,
        )
    )
    return [dict(np.load(folder / f"{i}.npz")) for i in range(2)]


def test_losses_are_those_of_one_process(two_processes):
    expected = tiny_run.train(tiny_run.make_task())
    assert expected[-1] < expected[0] - 0.5
    for process in two_processes:
        np.testing.assert_allclose(process["losses"], expected, rtol=1e-4)


def test_weights_are_equal_on_all_processes(two_processes):
    for name in ("weights", "frozen"):
        first, second = (process[name] for process in two_processes)
        np.testing.assert_array_equal(first, second)
