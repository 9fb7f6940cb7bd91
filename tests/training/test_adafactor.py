import keras
import numpy as np
import pytest

from keras_paligemma.training.adafactor import ComponentAdafactor
from tests.training import toy_models


class Reference:
    """Adafactor from the formulas of the paper, in float64."""

    def __init__(self, clip_threshold, momentum):
        self.clip_threshold = clip_threshold
        self.momentum = momentum
        self.means = {}
        self.steps = {}

    def __call__(self, path, gradient, count):
        beta = min(0.999, 1 - count**-0.8)
        squares = gradient**2
        mean = beta * self.means.get(path, 0) + (1 - beta) * squares
        self.means[path] = mean
        if gradient.ndim == 2 and min(gradient.shape) >= 4:
            rows = mean.sum(axis=1, keepdims=True)
            columns = mean.sum(axis=0, keepdims=True)
            # In the paper sums stand where the code has means.
            size = mean.size / (mean.shape[0] * mean.shape[1])
            mean = rows @ columns / rows.sum() * size
        step = gradient / np.sqrt(mean)
        size = np.sqrt(np.mean(step**2))
        step = step / max(1.0, size / self.clip_threshold)
        step = (
            self.momentum * self.steps.get(path, 0) + (1 - self.momentum) * step
        )
        self.steps[path] = step
        return step


@pytest.mark.parametrize("clip_threshold", [None, 0.8])
def test_five_steps_equal_the_papers_formula(clip_threshold):
    table = [("projector/.*", 0.02), ("decoder/bias", None), (".*", 0.1)]
    rates = {"projector/kernel": 0.02, "projector/bias": 0.02}
    model = toy_models.toy_model(width=5)
    expected = toy_models.values_of(model)
    optimizer = ComponentAdafactor(
        table,
        clip_threshold=clip_threshold,
        momentum=0.7,
        momentum_dtype="float32",
        min_size_to_factor=4,
    )
    reference = Reference(clip_threshold or np.inf, 0.7)
    for count in range(1, 6):
        gradients = toy_models.gradients_for(model.weights, count)
        toy_models.apply_gradients(optimizer, model.weights, gradients)
        for path, gradient in gradients.items():
            if path != "decoder/bias":
                step = reference(path, gradient, count)
                expected[path] = expected[path] - step * rates.get(path, 0.1)
    toy_models.assert_same_values(model, expected, rtol=2e-6)


def test_large_matrices_have_factored_slots_and_a_bfloat16_momentum():
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(32, name="wide")]
    )
    optimizer = ComponentAdafactor([(".*/kernel", 1e-3), (".*", None)])
    optimizer.build(model.trainable_variables)
    slots = optimizer.variables[2:]
    assert [tuple(slot.shape) for slot in slots] == [(64,), (32,), (64, 32)]
    assert slots[2].dtype == "bfloat16"


@pytest.mark.parametrize("steps", [None, 2])
def test_fit_lowers_the_loss_and_a_copy_has_the_same_config(steps):
    x, y = toy_models.toy_data(rows=16)
    model = toy_models.toy_model(width=8)
    optimizer = ComponentAdafactor(
        [(".*", 0.05)],
        min_size_to_factor=8,
        gradient_accumulation_steps=steps,
        global_clipnorm=1.0,
    )
    model.compile(optimizer=optimizer, loss="mse")
    history = model.fit(x, y, epochs=20, batch_size=8, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0] / 2
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == optimizer.get_config()
