import keras
import numpy as np
import pytest

from keras_paligemma.training import ComponentAdam
from keras_paligemma.training import ComponentMuon
from keras_paligemma.training import Stage
from keras_paligemma.training.compiling import stage_optimizer
from keras_paligemma.training.muon import NEWTON_SCHULZ
from keras_paligemma.training.muon import matrix_shape
from keras_paligemma.training.muon import orthogonal
from keras_paligemma.training.rate_settings import RateSettings
from tests.training import toy_models


def reference_direction(matrix):
    """By the singular values, on which alone the polynomial acts."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.sqrt(np.sum(values**2))
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    return left * values @ right


def test_directions_are_those_of_the_singular_vectors():
    generator = np.random.default_rng(0)
    for shape in ((3, 8), (8, 3), (5, 5), (1, 4)):
        matrix = generator.normal(size=shape)
        result = orthogonal(keras.ops.convert_to_tensor(matrix, "float32"))
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(result),
            reference_direction(matrix),
            atol=2e-5,
        )
    zeros = orthogonal(keras.ops.zeros((3, 4)))
    assert not keras.ops.convert_to_numpy(zeros).any()


def test_singular_values_come_near_one_also_in_bfloat16():
    matrix = np.random.default_rng(0).normal(size=(48, 64))
    result = orthogonal(
        keras.ops.convert_to_tensor(matrix, "float32"), 5, "bfloat16"
    )
    values = np.linalg.svd(keras.ops.convert_to_numpy(result))[1]
    assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((5, 7), (5, 7)),
        ((192, 6, 32), (192, 192)),
        ((6, 32, 192), (192, 192)),
        ((14, 14, 3, 192), (588, 192)),
    ],
)
def test_a_kernel_is_a_matrix_of_inputs_and_outputs(shape, expected):
    assert matrix_shape(shape) == expected


def test_steps_equal_the_formula():
    table = [("projector/.*", 0.02), ("decoder/bias", None), (".*", 0.1)]
    model = toy_models.toy_model(width=5)
    expected = toy_models.values_of(model)
    adam = toy_models.toy_model(width=5)
    optimizer = ComponentMuon(
        table, momentum=0.8, beta_2=0.9, orthogonal_dtype="float32"
    )
    others = ComponentAdam(table, beta_2=0.9)
    means = {}
    for count in range(1, 5):
        gradients = toy_models.gradients_for(model.weights, count)
        toy_models.apply_gradients(optimizer, model.weights, gradients)
        toy_models.apply_gradients(others, adam.weights, gradients)
        for path, gradient in gradients.items():
            if not path.endswith("kernel"):
                continue
            mean = 0.8 * means.get(path, 0) + 0.2 * gradient
            means[path] = mean
            step = reference_direction(0.2 * gradient + 0.8 * mean)
            step = 0.2 * np.sqrt(max(gradient.shape)) * step
            rate = 0.02 if path.startswith("projector") else 0.1
            expected[path] = expected[path] - rate * step
    for path, value in toy_models.values_of(adam).items():
        if not path.endswith("kernel"):
            expected[path] = value
    toy_models.assert_same_values(model, expected, rtol=2e-5)


def test_kernels_step_as_in_torch_optim():
    import torch

    generator = np.random.default_rng(0)
    value = generator.normal(size=(6, 9)).astype("float32")
    variable = keras.Variable(value, name="kernel")
    parameter = torch.nn.Parameter(torch.tensor(value))
    ours = ComponentMuon([(".*", 0.1)])
    theirs = torch.optim.Muon(
        [parameter], lr=0.1, weight_decay=0, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        gradient = generator.normal(size=value.shape).astype("float32")
        ours.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        parameter.grad = torch.tensor(gradient)
        theirs.step()
    moved = keras.ops.convert_to_numpy(variable) - value
    expected = parameter.detach().numpy() - value
    # Both compute directions in bfloat16, in different order.
    difference = np.linalg.norm(moved - expected) / np.linalg.norm(expected)
    assert difference < 0.05


def test_kernels_of_an_interrupted_update_do_not_move_later(monkeypatch):
    variables = [
        keras.Variable(np.eye(3, dtype="float32"), name="kernel")
        for _ in range(2)
    ]
    optimizer = ComponentMuon([(".*", 0.1)])
    optimizer.build(variables)
    gradients = [keras.ops.ones((3, 3))] * 2
    with monkeypatch.context() as interrupted:
        interrupted.setattr(optimizer, "finish_update", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            optimizer.apply(gradients, variables)
    moved = []
    move = optimizer.move
    monkeypatch.setattr(
        optimizer,
        "move",
        lambda variable, *rest: moved.append(variable) or move(variable, *rest),
    )
    optimizer.apply(gradients, variables)
    assert len(moved) == 2


def test_configs_and_saved_state_come_back(tmp_path):
    model = toy_models.toy_model()
    x, y = toy_models.toy_data()
    model.compile(ComponentMuon([(".*", 0.01)], momentum=0.9), loss="mse")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    model.fit(x, y, epochs=2, verbose=0)
    again.fit(x, y, epochs=2, verbose=0)
    toy_models.assert_same_values(again, toy_models.values_of(model), rtol=1e-6)


def test_a_stage_names_it():
    stage = Stage(
        "small",
        image_size=28,
        text_length=8,
        examples=10,
        mixture={"caption": 1.0},
        rates=((".*", RateSettings("constant", peak=1e-3)),),
        batch_size=2,
        optimizer="muon",
        adam_betas=(0.8, 0.9),
    )
    optimizer = stage_optimizer(stage)
    assert type(optimizer) is ComponentMuon
    assert (optimizer.beta_1, optimizer.beta_2) == (0.8, 0.9)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"iterations_of_newton_schulz": 0}, "iterations_of_newton_schulz=0"),
        ({"beta_1": 2.0}, "beta_1=2.0"),
    ],
)
def test_options_out_of_range_are_named(options, text):
    with pytest.raises(ValueError, match=text):
        ComponentMuon([(".*", 0.1)], **options)
