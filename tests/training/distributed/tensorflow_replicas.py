"""A tiny run on two virtual CPU devices; see `test_tensorflow.py`."""

import sys

import keras
import tensorflow as tf

from tests.training.distributed import tiny_run


def main(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    expected = tiny_run.train(tiny_run.make_task())
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        task = tiny_run.make_task()
        found = tiny_run.train(task)
    path = f"{folder}/model.weights.h5"
    task.save_weights(path)
    loaded = tiny_run.make_task()
    loaded.optimizer.build(loaded.trainable_variables)
    loaded.load_weights(path)
    differences = [
        float(
            abs(
                keras.ops.convert_to_numpy(one)
                - keras.ops.convert_to_numpy(other)
            ).max()
        )
        for one, other in zip(
            task.weights + task.optimizer.variables,
            loaded.weights + loaded.optimizer.variables,
            strict=True,
        )
    ]
    tiny_run.report(
        expected=expected,
        found=found,
        difference=max(differences),
        replicas=strategy.num_replicas_in_sync,
    )


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main(sys.argv[1])
