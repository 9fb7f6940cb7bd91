"""Dense models with the paths of PaliGemma's components, and references."""

import keras
import numpy as np


def toy_model(width=4, dtype=None):
    """Three layers: `image_encoder`, `projector`, `decoder`."""
    inputs = keras.Input((3,))
    x = inputs
    for name, units in (
        ("image_encoder", width),
        ("projector", width),
        ("decoder", 2),
    ):
        x = keras.layers.Dense(units, name=name, dtype=dtype)(x)
    model = keras.Model(inputs, x)
    randomise(model)
    return model


def randomise(model, seed=0):
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape).astype("float32"))


def toy_data(seed=0, rows=4):
    generator = np.random.default_rng(seed)
    return (
        generator.normal(size=(rows, 3)).astype("float32"),
        generator.normal(size=(rows, 2)).astype("float32"),
    )


def values_of(model):
    """Dict of path to float32 array of the weights."""
    return {
        weight.path: keras.ops.convert_to_numpy(
            keras.ops.cast(weight, "float32")
        ).copy()
        for weight in model.weights
    }


def gradients_for(variables, seed):
    generator = np.random.default_rng(seed)
    return {v.path: generator.normal(size=v.shape) for v in variables}


def apply_gradients(optimizer, variables, gradients):
    """One update with given gradients, a dict of path to array."""
    optimizer.apply(
        [
            keras.ops.convert_to_tensor(gradients[v.path], dtype=v.dtype)
            for v in variables
        ],
        variables,
    )


def clipped(gradients, norm):
    """The gradients scaled down to a global norm, in float64."""
    total = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    return {path: g * min(1.0, norm / total) for path, g in gradients.items()}


def assert_same_values(model, expected, paths=None, rtol=0):
    values = values_of(model)
    for path in values if paths is None else paths:
        np.testing.assert_allclose(
            values[path], expected[path], rtol=rtol, atol=rtol, err_msg=path
        )
