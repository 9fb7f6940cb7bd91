"""float16 with loss scaling, and bfloat16, through `fit`."""

import keras
import numpy as np
import pytest

from keras_paligemma.training.freezing import freeze
from keras_paligemma.training.optimizer import ComponentAdam
from tests.models import tiny_models
from tests.models.recorded_gradients import values_of

STEPS = 20
# Of a value near 5, after 20 steps of other roundings.
TOLERANCES = {"mixed_float16": 0.05, "mixed_bfloat16": 0.1, "bfloat16": 0.3}
TABLE = [("image_encoder/.*", None), (".*", 1e-3)]


def batch():
    inputs = tiny_models.prompt_inputs()
    targets = np.roll(inputs["token_ids"], -1, axis=1)
    return inputs, targets, inputs["padding_mask"].astype("float32")


def trained(policy, steps=STEPS):
    """A task after some steps, with its losses."""
    backbone = tiny_models.tiny_backbone(dtype=policy)
    freeze(backbone, TABLE)
    task = tiny_models.tiny_task(
        backbone, optimizer=ComponentAdam(TABLE, global_clipnorm=10.0)
    )
    inputs, targets, weights = batch()
    history = task.fit(
        inputs,
        targets,
        sample_weight=weights,
        batch_size=3,
        epochs=steps,
        verbose=0,
    )
    return task, np.array(history.history["loss"])


@pytest.fixture(scope="module")
def reference():
    """The losses of float32."""
    losses = trained("float32")[1]
    assert losses[-1] < losses[0] - 0.5
    return losses


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_bfloat16_learns_as_float32_does(policy, reference):
    task, losses = trained(policy)
    assert type(task.optimizer) is ComponentAdam
    np.testing.assert_allclose(losses, reference, rtol=TOLERANCES[policy])
    assert losses[-1] < losses[0] - 0.1


def test_float16_scales_its_loss(reference):
    task, losses = trained("mixed_float16")
    optimizer = task.optimizer
    assert type(optimizer) is keras.optimizers.LossScaleOptimizer
    inner = optimizer.inner_optimizer
    # The scale begins too large, and its first steps are not taken.
    late = skipped(optimizer)
    assert late < 5
    np.testing.assert_allclose(
        losses[late:],
        reference[: STEPS - late],
        rtol=TOLERANCES["mixed_float16"],
    )
    assert {w.dtype for w in task.weights} == {"float32"}
    assert {v.dtype for v in inner.variables if v.path != "iterations"} <= {
        "float32",
        "int32",
        "int64",
    }
    trainable = task.trainable_weights
    assert not any(w.path.startswith("image_encoder") for w in trainable)
    # Two slots for each trained variable, the rate, the count of updates.
    assert len(inner.variables) == 2 * len(trainable) + 2
    assert int(inner.iterations) == STEPS - late

    # A step that overflows halves the scale, and changes nothing else.
    optimizer.dynamic_scale.assign(2.0**60)
    before = values_of([*task.weights, *inner.variables])
    updates = int(inner.iterations)
    loss = task.train_on_batch(*batch(), return_dict=True)["loss"]
    assert np.isfinite(float(loss))
    after = values_of([*task.weights, *inner.variables])
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)
    assert float(optimizer.dynamic_scale) == 2.0**59

    # The next one that does not is taken.
    optimizer.dynamic_scale.assign(2.0**10)
    task.train_on_batch(*batch())
    assert int(inner.iterations) == updates + 1
    moved = {
        path
        for path, value in values_of(task.weights).items()
        if not np.array_equal(value, before[path])
    }
    assert moved and not any(p.startswith("image_encoder") for p in moved)


def skipped(optimizer):
    """How many steps overflowed, from the scale that is left."""
    return int(
        np.log2(optimizer.initial_scale / float(optimizer.dynamic_scale))
    )
