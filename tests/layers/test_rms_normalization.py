"""The norm's formula, and that it is computed in float32."""

import keras
import ml_dtypes
import numpy as np
from keras import ops

from keras_paligemma.layers.rms_normalization import RMSNormalization
from keras_paligemma.layers.rms_normalization import rms_normalize

generator = np.random.default_rng(0)


def formula(inputs, scale, epsilon):
    x = inputs.astype("float64")
    rms = np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)
    return x / rms * (1.0 + scale)


def test_the_formula():
    inputs = generator.normal(0, 5, (2, 3, 8)).astype("float32")
    scale = generator.normal(size=8).astype("float32")
    for epsilon in (1e-6, 0.5):
        np.testing.assert_allclose(
            ops.convert_to_numpy(
                rms_normalize(ops.convert_to_tensor(inputs), scale, epsilon)
            ),
            formula(inputs, scale, epsilon),
            rtol=1e-5,
            atol=1e-6,
        )


def test_a_new_layer_leaves_unit_vectors_as_they_are():
    layer = RMSNormalization()
    inputs = np.array([[3.0, -3.0, 3.0, -3.0]], "float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(inputs)), inputs / 3.0, rtol=1e-5
    )


def test_bfloat16_input_is_normalised_in_float32():
    inputs = (300 + generator.normal(size=(4, 512))).astype("float32")
    inputs = inputs.astype(ml_dtypes.bfloat16)
    scale = generator.normal(0, 0.1, 512).astype("float32")
    result = rms_normalize(
        ops.convert_to_tensor(inputs.astype("float32"), "bfloat16"),
        ops.convert_to_tensor(scale),
        1e-6,
    )
    assert "bfloat16" in str(result.dtype)
    expected = formula(inputs.astype("float32"), scale, 1e-6)
    # Rounded once, at the end: to within half of a last place.
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(result, "float32")),
        expected,
        rtol=2.0**-8,
    )


def test_mixed_precision_keeps_the_scale_in_float32():
    layer = RMSNormalization(dtype="mixed_bfloat16")
    layer.build((None, 4))
    # Just above the middle of two neighbours in bfloat16; a scale in
    # bfloat16 lies in the middle, and the result would be rounded down.
    layer.scale.assign([201 / 256 + 1e-4] * 4)
    inputs = ops.full((1, 4), 256.0, dtype="bfloat16")
    result = ops.convert_to_numpy(ops.cast(layer(inputs), "float32"))
    np.testing.assert_array_equal(result, np.full((1, 4), 1 + 202 / 256))


def test_config_round_trip():
    layer = RMSNormalization(epsilon=0.01, name="norm")
    copy = RMSNormalization.from_config(layer.get_config())
    assert copy.epsilon == 0.01 and copy.name == "norm"
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "keras_paligemma>RMSNormalization"
