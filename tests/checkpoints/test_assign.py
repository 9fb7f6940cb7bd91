import json
import os
import pathlib
import subprocess
import sys

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_paligemma.checkpoints import assign
from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.lazy_zeros import LazyZeros
from keras_paligemma.checkpoints.safetensors_reader import read_safetensors
from keras_paligemma.checkpoints.safetensors_writer import write_safetensors

ROOT = pathlib.Path(__file__).parents[2]


def _numpy(variable):
    return keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "stored", ["float32", "float16", ml_dtypes.bfloat16, "float64"]
)
def test_values_are_written_and_cast(tmp_path, dtype, stored, monkeypatch):
    # Small blocks, so that arrays are written in parts.
    monkeypatch.setattr(LazyArray.blocks, "__defaults__", (64,))
    rng = np.random.default_rng(0)
    values = {
        "matrix": rng.standard_normal((17, 9)).astype(stored),
        "vector": rng.standard_normal(5).astype(stored),
        "scalar": np.asarray(rng.standard_normal(), stored),
    }
    lazy = {k: LazyArray.from_numpy(v, k) for k, v in values.items()}
    path = tmp_path / "x.safetensors"
    write_safetensors(path, lazy, np.dtype(stored))
    variables = {
        key: keras.Variable(np.ones(value.shape), dtype=dtype)
        for key, value in values.items()
    }
    seen = []
    assign.assign_arrays(
        variables, read_safetensors(path), lambda *step: seen.append(step)
    )
    for key, value in values.items():
        expected = np.asarray(value, assign.numpy_dtype(dtype))
        found = _numpy(variables[key])
        np.testing.assert_array_equal(found, expected.astype("float32"))
    total = sum(value.nbytes for value in values.values())
    assert [step[0] for step in seen] == list(values)
    assert seen[-1][1:] == (total, total)


def test_large_arrays_let_go_of_the_old_value(monkeypatch):
    monkeypatch.setattr(assign, "BLOCK_BYTES", 1)
    variable = keras.Variable(np.ones((3, 2)), dtype="float32")
    values = np.arange(6, dtype="float32").reshape(3, 2)
    array = LazyArray.from_numpy(values, "x").transposed((0, 1))
    assign.assign_arrays({"x": variable}, {"x": array})
    np.testing.assert_array_equal(_numpy(variable), values)


def test_the_source_does_not_change_with_the_variable():
    values = np.arange(64, dtype="float32").reshape(16, 4)
    variable = keras.Variable(np.zeros((16, 4)), dtype="float32")
    assign.assign_arrays(
        {"x": variable}, {"x": LazyArray.from_numpy(values, "")}
    )
    variable.assign_add(np.ones((16, 4), "float32"))
    assert values[0, 0] == 0.0
    assert _numpy(variable)[0, 0] == 1.0


def test_nothing_is_written_if_anything_does_not_fit():
    variables = {
        "a": keras.Variable(np.zeros(2), dtype="float32"),
        "b": keras.Variable(np.zeros(3), dtype="float32"),
        "c": keras.Variable(np.zeros(3), dtype="float32"),
    }
    arrays = {
        "a": LazyArray.from_numpy(np.ones(2), "f: a"),
        "b": LazyArray.from_numpy(np.ones(4), "f: b"),
        "d": LazyArray.from_numpy(np.ones(4), "f: d"),
    }
    with pytest.raises(ValueError, match="nothing was loaded") as error:
        assign.assign_arrays(variables, arrays)
    text = str(error.value)
    assert "f: b: expected shape (3,) for b. Received: shape=(4,)" in text
    assert "c: missing; expected shape (3,)" in text
    assert "f: d: left over" in text
    assert _numpy(variables["a"]).tolist() == [0, 0]


def test_lazy_zeros():
    for dtype in ("float32", "bfloat16", "int32", "bool"):
        value = LazyZeros()((3, 2), dtype)
        assert keras.backend.standardize_dtype(value.dtype) == dtype
        assert _numpy(value).tolist() == [[0, 0]] * 3
    config = keras.initializers.serialize(LazyZeros())
    assert config["registered_name"] == "keras_paligemma>LazyZeros"
    assert isinstance(keras.initializers.deserialize(config), LazyZeros)
    layer = keras.layers.Dense(3, kernel_initializer=LazyZeros())
    layer.build((None, 2))
    layer.kernel.assign(np.ones((2, 3)))
    assert _numpy(layer(np.ones((1, 2)))).tolist() == [[2, 2, 2]]
    assert _numpy(LazyZeros()((2,), "float32")).tolist() == [0, 0]


@pytest.mark.skipif(
    sys.platform != "linux", reason="reads the peak of memory from /proc"
)
def test_loading_peaks_below_one_and_a_quarter_of_the_file(tmp_path):
    """A copy of the large array more would give twice its size."""
    path = tmp_path / "large.safetensors"
    rows, columns = 100_000, 1024
    pattern = np.arange(columns) % 8

    def load(start, stop):
        values = (np.arange(start, stop) % 4)[:, None] + pattern
        return values.astype(ml_dtypes.bfloat16)

    large = LazyArray((rows, columns), ml_dtypes.bfloat16, "large", load)
    small = LazyArray.from_numpy(np.ones((4, 4), "float32"), "small")
    arrays = {"embedding": large, "small": small}
    write_safetensors(path, arrays, np.dtype(ml_dtypes.bfloat16))

    result = subprocess.run(
        [sys.executable, "-m", "tests.checkpoints.measure_loading", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout.splitlines()[-1])
    last = load(rows - 4, rows).astype("float32")
    assert measured["sums"] == {"embedding": last.sum(), "small": 16}
    share = measured["added"] / large.num_bytes
    assert 0.9 < share < 1.25


DISTRIBUTED = """
import keras, numpy as np
from keras_paligemma.checkpoints import LazyArray, LazyZeros, assign_arrays
devices = keras.distribution.list_devices()
mesh = keras.distribution.DeviceMesh((1, 2), ("batch", "model"), devices)
layouts = keras.distribution.LayoutMap(mesh)
layouts["dense/kernel"] = ("model", None)
keras.distribution.set_distribution(
    keras.distribution.ModelParallel(layout_map=layouts)
)
layer = keras.layers.Dense(3, kernel_initializer=LazyZeros(), name="dense")
layer.build((None, 4))
before = layer.kernel.value.sharding
values = np.arange(12, dtype="float32").reshape(4, 3)
lazy = {"k": LazyArray.from_numpy(values, "k")}
assign_arrays({"k": layer.kernel}, lazy)
after = layer.kernel.value.sharding
assert len(after.device_set) == 2 and after.spec == before.spec
shapes = [s.data.shape for s in layer.kernel.value.addressable_shards]
assert shapes == [(2, 3), (2, 3)], shapes
assert (np.asarray(layer.kernel.value) == values).all()
"""


@pytest.mark.skipif(
    keras.config.backend() != "jax", reason="Keras distributes on JAX"
)
def test_distributed_variables_keep_their_layout():
    flags = "--xla_force_host_platform_device_count=2"
    result = subprocess.run(
        [sys.executable, "-c", DISTRIBUTED],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
