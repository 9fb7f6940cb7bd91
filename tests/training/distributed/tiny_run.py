"""Twenty steps of a tiny model, the same on every kind of distribution.

Run as a script in the subprocesses of the tests of this folder.
"""

import json

import keras
import numpy as np

from tests.models import tiny_models

STEPS = 20
BATCH_SIZE = 8
VOCABULARY = 320
LENGTH = 6


class Steps(keras.callbacks.Callback):
    """Collects the loss of each batch."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(float(logs["loss"]))


def make_task(optimizer=None, **changes):
    """A tiny task; 0.2 times the weights of `tiny_models` train smoothly."""
    from keras_paligemma.training import ComponentAdam

    arguments = {
        "vocabulary_size": VOCABULARY,
        "num_layers": 1,
        "num_key_value_heads": 1,
        "vit_num_heads": 4,
    }
    backbone = tiny_models.tiny_backbone(**{**arguments, **changes})
    for weight in backbone.weights:
        if weight.path.endswith(("kernel", "embeddings")):
            weight.assign(weight * 0.2)
    if optimizer is None:
        # Adam's step from a gradient that is all rounding is as long as any
        # other, but for this epsilon.
        optimizer = ComponentAdam(
            [(".*", 1e-3)], global_clipnorm=1.0, epsilon=1e-4
        )
    return tiny_models.tiny_task(backbone, optimizer=optimizer)


def batch(index=0, count=1):
    """Part `index` of `count` of the batch; answers of 1 to 3 tokens."""
    generator = np.random.default_rng(0)
    size = tiny_models.IMAGE_SIZE
    images = generator.uniform(-1, 1, (BATCH_SIZE, size, size, 3))
    tokens = generator.integers(5, VOCABULARY, (2, BATCH_SIZE, LENGTH))
    weights = np.zeros((BATCH_SIZE, LENGTH), "float32")
    for row in range(BATCH_SIZE):
        weights[row, 3 : 4 + row % 3] = 1
    inputs = {
        "images": images.astype("float32"),
        "token_ids": tokens[0].astype("int32"),
        "padding_mask": np.ones((BATCH_SIZE, LENGTH), "int32"),
        "response_mask": np.tile(
            np.array([0, 0, 0, 1, 1, 1], "int32"), (BATCH_SIZE, 1)
        ),
    }
    size = BATCH_SIZE // count
    rows = slice(index * size, (index + 1) * size)
    inputs = {key: value[rows] for key, value in inputs.items()}
    return inputs, tokens[1].astype("int32")[rows], weights[rows]


def train(task, index=0, count=1, steps=STEPS):
    """Trains on one batch; returns the losses."""
    collected = Steps()
    inputs, targets, weights = batch(index, count)
    task.fit(
        inputs,
        targets,
        sample_weight=weights,
        batch_size=BATCH_SIZE // count,
        epochs=steps,
        shuffle=False,
        verbose=0,
        callbacks=[collected],
    )
    return collected.losses


def report(**facts):
    """Hands facts over to the test, as the last line that is printed."""
    print("REPORT " + json.dumps(facts), flush=True)
