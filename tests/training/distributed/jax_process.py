"""One of two JAX processes; see `test_jax.py`."""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np

from keras_paligemma.models.distributions import fully_sharded
from keras_paligemma.training import processes
from keras_paligemma.training.checkpointing import CheckpointStore
from keras_paligemma.training.checkpointing.run_state import assign_variables
from keras_paligemma.training.checkpointing.run_state import read_variables
from keras_paligemma.training.checkpointing.run_state import run_variables
from tests.training.distributed import tiny_run


def checkpoint(task, folder):
    """Saves what each process holds of it, and reads it back."""
    variables = run_variables(task)
    store = CheckpointStore(folder)
    store.save(tiny_run.STEPS, read_variables(variables), {"epoch": 1})
    store.wait()
    step, _, arrays = store.latest()
    assign_variables(variables, arrays)
    for name, variable in variables.items():
        np.testing.assert_array_equal(
            np.squeeze(processes.gather(variable)), np.squeeze(arrays[name])
        )
    store.close()


def main(folder, address, index):
    processes.initialize(address, num_processes=2, process_id=int(index))
    keras.distribution.set_distribution(fully_sharded(min_size=64))
    share = processes.data_share()
    task = tiny_run.make_task()
    losses = tiny_run.train(task, *share)
    checkpoint(task, f"{folder}/checkpoints")
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
