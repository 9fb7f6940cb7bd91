import os

import h5py
import keras
import numpy as np
import pytest

from keras_paligemma.checkpoints.h5_reader import read_h5
from keras_paligemma.checkpoints.h5_reader import read_h5_directory


def _model(dtype):
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, dtype=dtype, bias_initializer="normal"),
            keras.layers.Dense(2, dtype=dtype),
        ]
    )


def _save_shards(model, directory, num_bytes):
    model.save_weights(
        directory / "model.weights.json", max_shard_size=num_bytes / 2**30
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("sharded", [False, True])
def test_reads_what_keras_wrote(tmp_path, dtype, sharded):
    model = _model(dtype)
    if sharded:
        _save_shards(model, tmp_path, 64 if dtype == "float32" else 32)
        assert len(os.listdir(tmp_path)) > 2
    else:
        model.save_weights(tmp_path / "model.weights.h5")
    found = read_h5_directory(tmp_path)
    keys = ["layers/dense/vars/0", "layers/dense/vars/1"]
    keys += ["layers/dense_1/vars/0", "layers/dense_1/vars/1"]
    assert sorted(found) == keys
    for key, weight in zip(keys, model.weights, strict=True):
        expected = keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32"))
        assert str(found[key].dtype) == dtype
        np.testing.assert_array_equal(
            found[key].read().astype("float32"), expected
        )
        rows = found[key].read_rows(1, 2).astype("float32")
        np.testing.assert_array_equal(rows, expected[1:2])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_truncated(tmp_path, share):
    path = tmp_path / "model.weights.h5"
    _model("float32").save_weights(path)
    os.truncate(path, int(share * os.path.getsize(path)))
    with pytest.raises(ValueError, match="model.weights.h5: the file is cut"):
        read_h5_directory(tmp_path)


def test_missing_shard_and_damaged_index(tmp_path):
    _save_shards(_model("float32"), tmp_path, 64)
    shard = sorted(n for n in os.listdir(tmp_path) if n.endswith(".h5"))[-1]
    os.remove(tmp_path / shard)
    with pytest.raises(ValueError, match=f"{shard}: the index names"):
        read_h5_directory(tmp_path)
    (tmp_path / "model.weights.json").write_text("{}")
    with pytest.raises(ValueError, match="model.weights.json is damaged"):
        read_h5_directory(tmp_path)


def test_directory_without_weights(tmp_path):
    with pytest.raises(ValueError, match="Expected model.weights.h5"):
        read_h5_directory(tmp_path)


def test_values_that_are_no_numbers_or_elsewhere(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["text"] = "hello"
    with pytest.raises(ValueError, match="x.h5: text: expected an array"):
        read_h5(path)
    (tmp_path / "secret").write_bytes(bytes(12))
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "out", (3,), "f4", external=[(tmp_path / "secret", 0, 12)]
        )
    with pytest.raises(ValueError, match="x.h5: out: .*another file"):
        read_h5(path)
