"""One of the processes that torchrun starts; see `test_torch.py`."""

import sys

import keras
import numpy as np
import torch

from keras_paligemma.training import processes
from tests.training.distributed import tiny_run


def main(folder):
    processes.initialize()
    index, count = processes.data_share()
    task = tiny_run.make_task()
    if index:
        # Training begins with the weights of the first process.
        for weight in task.trainable_weights:
            weight.assign(weight + 1.0)
    losses = tiny_run.train(task, index, count)
    weights = np.concatenate(
        [processes.gather(w).ravel() for w in task.trainable_weights]
    )
    frozen = tiny_run.make_task(keras.optimizers.Adam(1e-3))
    frozen.backbone.image_encoder.trainable = False
    frozen.compile(optimizer=keras.optimizers.Adam(1e-3))
    tiny_run.train(frozen, index, count, steps=2)
    trained = np.concatenate(
        [processes.gather(w).ravel() for w in frozen.trainable_weights]
    )
    np.savez(
        f"{folder}/{index}.npz", losses=losses, weights=weights, frozen=trained
    )
    if processes.is_chief():
        # Alone, without waiting for the others.
        inputs, targets, mask = tiny_run.batch()
        task.evaluate(inputs, targets, sample_weight=mask, verbose=0)
        task.predict(inputs, verbose=0)
    processes.wait_for_all()
    processes.shutdown()
    if torch.distributed.is_initialized():
        raise SystemExit("the process group is still there")


if __name__ == "__main__":
    main(sys.argv[1])
