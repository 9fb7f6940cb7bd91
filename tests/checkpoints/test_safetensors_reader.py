import json
import os
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.safetensors_reader import read_safetensors
from keras_paligemma.checkpoints.safetensors_reader import (
    read_safetensors_directory,
)
from keras_paligemma.checkpoints.safetensors_writer import parse_size
from keras_paligemma.checkpoints.safetensors_writer import (
    write_safetensors_directory,
)

RNG = np.random.default_rng(0)
ARRAYS = {
    "a.weight": RNG.standard_normal((3, 5)).astype("float32"),
    "b.weight": RNG.standard_normal((7, 2)).astype("float16"),
    "c": RNG.standard_normal(4).astype(ml_dtypes.bfloat16),
    "scalar": np.array(2.5, "float64"),
    "count": np.arange(3),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(ARRAYS, path, metadata={"format": "pt"})
    return path


def test_reads_what_safetensors_wrote(path):
    found = read_safetensors(path)
    assert set(found) == set(ARRAYS)
    for key, expected in ARRAYS.items():
        assert found[key].dtype == expected.dtype
        assert found[key].source == f"{path}: {key}"
        np.testing.assert_array_equal(found[key].read(), expected)
    np.testing.assert_array_equal(
        found["b.weight"].read_rows(2, 5), ARRAYS["b.weight"][2:5]
    )


@pytest.mark.parametrize("size", [0, 4, 60])
def test_truncated_header(path, size):
    os.truncate(path, size)
    with pytest.raises(ValueError, match="model.safetensors.*damaged or cut"):
        read_safetensors(path)


def test_truncated_data_names_file_and_key(path):
    os.truncate(path, os.path.getsize(path) - 1)
    with pytest.raises(ValueError, match="model.safetensors: .*cut short"):
        read_safetensors(path)


def _with_header(path, header):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{not json", "is no JSON"),
        ([1, 2], "must be a JSON object"),
        ({"k": {"dtype": "F32", "shape": [2]}}, "k: the entry"),
        (
            {"k": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}},
            "dtype=F4",
        ),
        (
            {"k": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
            "does not fill",
        ),
    ],
)
def test_damaged_header(path, header, message):
    _with_header(path, header)
    with pytest.raises(ValueError, match=message) as error:
        read_safetensors(path)
    assert str(path) in str(error.value)


def test_shards_are_written_and_read(tmp_path):
    floats = {k: v for k, v in ARRAYS.items() if k != "count"}
    arrays = {k: LazyArray.from_numpy(v, k) for k, v in floats.items()}
    dtype = np.dtype("float32")
    write_safetensors_directory(tmp_path, arrays, dtype, 61)
    names = sorted(os.listdir(tmp_path))
    assert names == [
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ]
    found = read_safetensors_directory(tmp_path)
    assert set(found) == set(floats)
    for key, expected in floats.items():
        np.testing.assert_array_equal(found[key].read(), expected)
    for name in names[:3]:
        for key, values in safetensors.numpy.load_file(tmp_path / name).items():
            np.testing.assert_array_equal(values, floats[key])


def test_missing_and_damaged_shards_are_all_named(tmp_path):
    arrays = {f"k{i}": LazyArray.from_numpy(np.ones(4), "k") for i in range(4)}
    write_safetensors_directory(tmp_path, arrays, np.dtype("float32"), 16)
    os.remove(tmp_path / "model-00002-of-00004.safetensors")
    os.truncate(tmp_path / "model-00003-of-00004.safetensors", 30)
    os.replace(
        tmp_path / "model-00001-of-00004.safetensors",
        tmp_path / "model-00004-of-00004.safetensors",
    )
    with pytest.raises(ValueError, match="incomplete") as error:
        read_safetensors_directory(tmp_path)
    for text in (
        "model-00001-of-00004.safetensors: the index names",
        "model-00002-of-00004.safetensors: the index names",
        "model-00003-of-00004.safetensors: the safetensors header",
        "model-00004-of-00004.safetensors: k3: the index places",
    ):
        assert text in str(error.value)


def test_index_may_not_lead_out_of_the_directory(tmp_path, path):
    folder = tmp_path / "inner"
    folder.mkdir()
    index = {"weight_map": {"c": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="no such file"):
        read_safetensors_directory(folder)


def test_directory_without_safetensors(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="`.bin` files are not read"):
        read_safetensors_directory(tmp_path)


def test_parse_size():
    assert parse_size("5GB") == 5 * 10**9
    assert parse_size("1.5 mb") == 1_500_000
    assert parse_size(12) == 12
    for size in ("", "five", "5 XB", "-1", 0):
        with pytest.raises(ValueError, match="max_shard_size"):
            parse_size(size)
