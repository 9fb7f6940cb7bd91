"""Rotary positions against complex numbers in NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers.rotary import rotary_tables
from keras_paligemma.layers.rotary import rotate

generator = np.random.default_rng(0)


def rotated_by_complex_numbers(heads, positions, wavelength=10_000.0):
    """Turns each pair of channels (i, i + half) by position times rate i."""
    half = heads.shape[-1] // 2
    rates = wavelength ** (-np.arange(half) / half)
    turns = np.exp(1j * positions[..., None] * rates)[:, :, None]
    pairs = (heads[..., :half] + 1j * heads[..., half:]) * turns
    return np.concatenate([pairs.real, pairs.imag], axis=-1)


def rotated(heads, positions, dtype="float32"):
    heads = ops.convert_to_tensor(heads, dtype)
    result = rotate(heads, rotary_tables(positions, heads.shape[-1]))
    assert result.dtype == heads.dtype
    return ops.convert_to_numpy(ops.cast(result, "float32"))


def test_rotation_equals_complex_multiplication():
    heads = generator.normal(size=(2, 5, 3, 8)).astype("float32")
    positions = np.array([[0, 1, 2, 3, 4], [7, 7, 300, 1000, 4096]])
    np.testing.assert_allclose(
        rotated(heads, positions),
        rotated_by_complex_numbers(heads, positions),
        atol=2e-3,
    )
    np.testing.assert_allclose(
        rotated(heads[:1], positions[:1]),
        rotated_by_complex_numbers(heads[:1], positions[:1]),
        atol=1e-6,
    )


def test_position_zero_changes_nothing():
    heads = generator.normal(size=(1, 3, 2, 4)).astype("float32")
    np.testing.assert_array_equal(
        rotated(heads, np.zeros((1, 3), "int32")), heads
    )


@pytest.mark.parametrize("shift", [1, 250])
def test_products_depend_on_distance_alone(shift):
    query = generator.normal(size=(1, 4, 1, 8)).astype("float32")
    key = generator.normal(size=(1, 4, 1, 8)).astype("float32")
    positions = np.array([[0, 3, 5, 9]])

    def products(moved):
        q, k = (
            rotated(query, positions + moved),
            rotated(key, positions + moved),
        )
        return np.einsum("bqhd,bkhd->bqk", q, k)

    np.testing.assert_allclose(products(0), products(shift), atol=1e-3)


def test_tables_stay_float32_for_bfloat16_heads():
    # At position 1023 bfloat16 angles would be whole radians off.
    tables = rotary_tables(np.array([[1023]]), 8)
    assert all("float32" in str(table.dtype) for table in tables)
    heads = generator.normal(size=(1, 1, 1, 8)).astype("float32")
    np.testing.assert_allclose(
        rotated(heads, np.array([[1023]]), "bfloat16"),
        rotated_by_complex_numbers(heads, np.array([[1023]])),
        atol=0.05,
    )
