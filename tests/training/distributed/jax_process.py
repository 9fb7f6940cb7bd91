"""One of two JAX processes; see `test_jax.py`."""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np

from keras_paligemma.models.distributions import fully_sharded
from keras_paligemma.training import processes
from tests.training.distributed import tiny_run


def main(folder, address, index):
    processes.initialize(address, num_processes=2, process_id=int(index))
    keras.distribution.set_distribution(fully_sharded(min_size=64))
    share = processes.data_share()
    task = tiny_run.make_task()
    losses = tiny_run.train(task, *share)
    kernel = next(w for w in task.weights if w.path == "embedding/embeddings")
    np.savez(
        f"{folder}/{index}.npz",
        losses=losses,
        share=share,
        whole=processes.gather(kernel),
        is_spread=not kernel.value.is_fully_addressable,
        is_chief=processes.is_chief(),
    )
    processes.wait_for_all()
    processes.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
