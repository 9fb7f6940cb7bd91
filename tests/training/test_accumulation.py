"""Gradient accumulation on a whole model equals one larger batch."""

import numpy as np
import pytest

from keras_paligemma.training.optimizer import ComponentAdam
from tests.models import tiny_models
from tests.training import toy_models

EXAMPLES = 4


def examples():
    """Four examples with one to four tokens in the loss."""
    generator = np.random.default_rng(0)
    size = (EXAMPLES, tiny_models.IMAGE_SIZE, tiny_models.IMAGE_SIZE, 3)
    shape = (EXAMPLES, tiny_models.LENGTH)
    columns = np.arange(tiny_models.LENGTH)
    ends = 5 + np.arange(EXAMPLES)[:, None]
    inputs = {
        "images": generator.uniform(-1, 1, size).astype("float32"),
        "token_ids": generator.integers(5, 300, shape).astype("int32"),
        "padding_mask": (columns < ends + 1).astype("int32")
        * np.ones(shape, "int32"),
        "response_mask": ((columns > 4) & (columns < ends + 1)).astype("int32"),
    }
    targets = np.roll(inputs["token_ids"], -1, axis=1)
    weights = ((columns > 3) & (columns < ends)).astype("float32")
    return inputs, targets, weights


def trained(at_once, accumulation):
    task = tiny_models.tiny_task(
        tiny_models.tiny_backbone(),
        optimizer=ComponentAdam(
            [("image_encoder/.*", 1e-3), (".*", 1e-2)],
            # Not what a sign of the gradient decides.
            epsilon=1e-2,
            weight_decay=0.01,
            global_clipnorm=1.0,
            gradient_accumulation_steps=accumulation,
        ),
    )
    inputs, targets, weights = examples()
    losses = []
    for _ in range(2):
        for start in range(0, EXAMPLES, at_once):
            part = slice(start, start + at_once)
            logs = task.train_on_batch(
                {key: value[part] for key, value in inputs.items()},
                targets[part],
                weights[part],
                return_dict=True,
            )
            losses.append(float(logs["loss"]))
    return task, losses


def test_four_single_examples_equal_a_batch_of_four():
    whole, losses = trained(EXAMPLES, None)
    task, parts = trained(1, EXAMPLES)
    before = toy_models.values_of(tiny_models.tiny_backbone())
    expected = toy_models.values_of(whole)
    changes = {p: expected[p] - before[p] for p in expected}
    assert all(
        np.abs(change).max() > 1e-5
        for path, change in changes.items()
        # A softmax is the same whatever is added to all keys.
        if not path.endswith("key_dense/bias")
    )
    for path, value in toy_models.values_of(task).items():
        np.testing.assert_allclose(
            value - before[path],
            changes[path],
            rtol=1e-3,
            atol=2e-6,
            err_msg=path,
        )
    assert np.mean(parts[:EXAMPLES]) == pytest.approx(losses[0], rel=1e-5)
