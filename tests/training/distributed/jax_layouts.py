"""One tiny run a layout, on eight simulated devices; see `test_jax.py`."""

import os
import re
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import keras
import numpy as np

from keras_paligemma.layers.chunked_crossentropy import chunked_token_losses
from keras_paligemma.models.distributions import data_parallel
from keras_paligemma.models.distributions import fully_sharded
from keras_paligemma.models.distributions import tensor_parallel
from keras_paligemma.training import ComponentAdafactor
from tests.training.distributed import tiny_run

LAYOUTS = {
    "one_device": lambda: None,
    "data_parallel": data_parallel,
    "fully_sharded": lambda: fully_sharded(min_size=64),
    "tensor_parallel": lambda: tensor_parallel(model_parallel=4),
    "both": lambda: fully_sharded(model_parallel=2, min_size=64),
}


def specs(variables):
    """How each variable is split, as lists of axes."""
    return {
        v.path: list(v.value.sharding.spec)
        for v in variables
        if isinstance(v.value.sharding, jax.sharding.NamedSharding)
    }


def values(task):
    return [
        np.asarray(v.value) for v in task.weights + task.optimizer.variables
    ]


def largest_logits(distribution):
    """Elements of the largest logits of a chunk that one device holds."""
    size, vocabulary, width = 16, 640, 8
    hidden = np.ones((size, 4, width), "float32")
    embeddings = np.ones((vocabulary, width), "float32")
    tokens, mask = np.ones((size, 4), "int32"), np.ones((size, 4), bool)
    keras.distribution.set_distribution(distribution)
    shard = distribution.get_data_layout

    def loss(hidden, embeddings, tokens, mask):
        return chunked_token_losses(hidden, embeddings, tokens, mask).sum()

    arguments = [
        keras.distribution.distribute_tensor(
            jax.numpy.asarray(x), shard(x.shape)
        )
        for x in (hidden, tokens, mask)
    ]
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(
        arguments[0], embeddings, *arguments[1:]
    )
    text = compiled.compile().as_text()
    shapes = re.findall(rf"f32\[((?:\d+,)*{vocabulary})\]", text)
    rows = max(int(np.prod([*map(int, s.split(","))])) for s in shapes)
    return rows // vocabulary


def main(folder):
    losses, layouts = {}, {}
    path = f"{folder}/sharded.weights.h5"
    for name, make in LAYOUTS.items():
        keras.distribution.set_distribution(make())
        task = tiny_run.make_task()
        losses[name] = tiny_run.train(task)
        layouts[name] = specs(task.weights + task.optimizer.variables)
        if name == "fully_sharded":
            task.save_weights(path)
            saved = values(task)
    # What one layout wrote is read under others.
    differences = []
    for name in ("one_device", "tensor_parallel"):
        keras.distribution.set_distribution(LAYOUTS[name]())
        task = tiny_run.make_task()
        task.optimizer.build(task.trainable_variables)
        task.load_weights(path)
        read = values(task)
        differences.append(
            max(
                float(abs(one - other).max())
                for one, other in zip(saved, read, strict=True)
            )
        )
    keras.distribution.set_distribution(LAYOUTS["both"]())
    factored = tiny_run.make_task(
        ComponentAdafactor([(".*", 1e-3)]), dtype="bfloat16"
    )
    factored.optimizer.build(factored.trainable_variables)
    layouts["factored"] = specs(factored.optimizer.variables)
    tiny_run.report(
        losses=losses,
        layouts=layouts,
        differences=differences,
        logits_rows=largest_logits(data_parallel()),
    )


if __name__ == "__main__":
    main(sys.argv[1])
