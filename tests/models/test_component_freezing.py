"""Components frozen by a table stay bit-equal, and cost no state."""

import numpy as np
import pytest

from keras_paligemma.training.freezing import freeze
from keras_paligemma.training.optimizer import ComponentAdam
from tests.models import tiny_models
from tests.models.recorded_gradients import GradientRecorder
from tests.models.recorded_gradients import loss_and_gradients
from tests.models.recorded_gradients import relative_errors
from tests.models.recorded_gradients import values_of

STEPS = 50


@pytest.mark.parametrize(
    "frozen, trained, freeze_first",
    [
        ("image_encoder", "projector", True),
        ("projector", "image_encoder", False),
    ],
)
def test_one_is_frozen_and_its_neighbour_trained(
    frozen, trained, freeze_first, prompts
):
    table = [
        (f"{frozen}/.*", None),
        (f"{trained}/.*", 1e-3),
        ("embedding/.*|decoder/.*", None),
    ]
    task = tiny_models.tiny_task(tiny_models.tiny_backbone())
    if freeze_first:
        freeze(task, table)
    optimizer = ComponentAdam(table, weight_decay=[(".*", 1e-3)])
    task.compile(optimizer=optimizer)
    before = values_of(task.weights)
    targets = np.roll(prompts["token_ids"], -1, axis=1)
    weights = prompts["padding_mask"].astype("float32")
    task.fit(
        prompts,
        targets,
        sample_weight=weights,
        batch_size=3,
        epochs=STEPS,
        verbose=0,
    )
    assert int(optimizer.iterations) == STEPS
    for path, value in values_of(task.weights).items():
        same = np.array_equal(value, before[path])
        assert same != path.startswith(trained), path
    paths = [v.path for v in task.weights if v.path.startswith(trained)]
    # Two slots for each, the rate and the count of updates: no more.
    assert len(optimizer.variables) == 2 * len(paths) + 2


def test_a_frozen_table_leaves_the_other_gradients_as_they_are(prompts):
    targets = np.roll(prompts["token_ids"], -1, axis=1)
    weights = prompts["padding_mask"].astype("float32")
    found = []
    for trainable in (True, False):
        backbone = tiny_models.tiny_backbone()
        backbone.token_embedding.trainable = trainable
        task = tiny_models.tiny_task(backbone, optimizer=GradientRecorder())
        found.append(loss_and_gradients(task, prompts, targets, weights))
    (loss, everything), (same_loss, rest) = found
    assert same_loss == pytest.approx(loss, rel=1e-6)
    del everything["embedding/embeddings"]
    errors = relative_errors(rest, everything)
    # A softmax is the same whatever is added to all keys.
    assert all(
        error < 1e-5
        for path, error in errors.items()
        if not path.endswith("key_dense/bias")
    )
