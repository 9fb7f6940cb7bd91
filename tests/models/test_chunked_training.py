"""Training in chunks equals training on the logits of all tokens."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma import ResponseAccuracy
from keras_paligemma import ResponseCrossentropy
from tests.models import tiny_models


class LogitLoss(ResponseCrossentropy):
    """The same formula; being another class, it is handed the logits."""


def batch():
    """Prompts whose last tokens are the response."""
    inputs = tiny_models.prompt_inputs()
    rows, length = inputs["token_ids"].shape
    generator = np.random.default_rng(1)
    targets = generator.integers(5, 300, (rows, length)).astype("int32")
    weights = np.zeros((rows, length), "float32")
    for row, prompt_length in enumerate(tiny_models.PROMPT_LENGTHS):
        weights[row, prompt_length - 1 - row % 2 : prompt_length] = 1
    return inputs, targets, weights


def trained(loss, reference, policy="float32", **changes):
    """Results of a step and an evaluation, and the weights after the step."""
    backbone = tiny_models.tiny_backbone(dtype=policy, **changes)
    cls = LogitLoss if reference else ResponseCrossentropy
    task = tiny_models.tiny_task(
        backbone, optimizer=keras.optimizers.SGD(0.01), loss=cls(**loss)
    )
    inputs, targets, weights = batch()
    logs = [
        task.train_on_batch(inputs, targets, weights, return_dict=True),
        task.test_on_batch(inputs, targets, weights, return_dict=True),
    ]
    values = [ops.convert_to_numpy(w) for w in task.weights]
    return task, logs, values


@pytest.mark.parametrize(
    "loss, changes",
    [
        ({}, {}),
        (
            {"label_smoothing": 0.2, "reduction": "token_mean"},
            {"final_logit_soft_cap": 5.0},
        ),
    ],
)
def test_a_step_equals_one_on_all_logits(loss, changes):
    _, logs, values = trained(loss, reference=False, **changes)
    _, expected_logs, expected = trained(loss, reference=True, **changes)
    for ours, theirs in zip(logs, expected_logs, strict=True):
        assert set(ours) == set(theirs)
        for name in theirs:
            assert float(ours[name]) == pytest.approx(
                float(theirs[name]), rel=1e-5, abs=1e-6
            )
    for ours, theirs in zip(values, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


def test_mixed_precision_gives_the_same_loss():
    _, logs, _ = trained({}, reference=False, policy="mixed_bfloat16")
    _, expected, _ = trained({}, reference=True, policy="mixed_bfloat16")
    assert float(logs[0]["loss"]) == pytest.approx(
        float(expected[0]["loss"]), rel=1e-5
    )


def test_predict_gives_logits_and_the_loss_is_scored_without(monkeypatch):
    inputs, targets, weights = batch()
    backbone = tiny_models.tiny_backbone()
    task = tiny_models.tiny_task(
        backbone, optimizer=keras.optimizers.SGD(0.01), run_eagerly=True
    )
    shapes = []
    scored = type(task).token_results

    def recorded(self, *args):
        results = scored(self, *args)
        shapes.append(tuple(results.shape))
        return results

    monkeypatch.setattr(type(task), "token_results", recorded)
    task.train_on_batch(inputs, targets, weights)
    task.test_on_batch(inputs, targets, weights)
    assert shapes == [(*targets.shape, 2)] * 2
    logits = task.predict_on_batch(inputs)
    assert logits.shape == (*targets.shape, 300) and len(shapes) == 2


def test_metrics_of_ones_own_get_logits():
    inputs, targets, weights = batch()

    class Width(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(float(y_pred.shape[-1]))

    task = tiny_models.tiny_task(
        tiny_models.tiny_backbone(),
        optimizer=keras.optimizers.SGD(0.01),
        weighted_metrics=[Width(name="width")],
    )
    logs = task.test_on_batch(inputs, targets, weights, return_dict=True)
    assert float(logs["width"]) == 300


def test_accuracy_as_documented():
    metric = ResponseAccuracy()
    logits = ops.array([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    metric.update_state(ops.array([[1, 1]]), logits)
    assert float(metric.result()) == 0.5
