import json
import shutil

import ml_dtypes
import numpy as np
import pytest

from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.checkpoint import open_checkpoint
from keras_paligemma.checkpoints.checkpoint import stored_dtype
from tests.checkpoints import writers


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_transformers(tmp_path, dtype):
    writers.write_transformers_checkpoint(tmp_path, 2, dtype=dtype)
    (tmp_path / "tokenizer.model").write_bytes(b"proto")
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "preprocessor_config.json").write_text("{}")
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "transformers"
    assert checkpoint.path == str(tmp_path)
    assert checkpoint.dtype == dtype
    assert checkpoint.arguments == writers.tiny_arguments(2)
    assert checkpoint.assets == {
        "tokenizer_model": str(tmp_path / "tokenizer.model"),
        "tokenizer_json": str(tmp_path / "tokenizer.json"),
        "preprocessor_config": str(tmp_path / "preprocessor_config.json"),
        "generation_config": str(tmp_path / "generation_config.json"),
    }


def test_big_vision_file_and_directory(tmp_path):
    path = tmp_path / "x.npz"
    writers.write_big_vision_npz(path, dtype="bfloat16")
    (tmp_path / "paligemma_tokenizer.model").write_bytes(b"proto")
    for handle in (path, tmp_path):
        checkpoint = open_checkpoint(handle)
        assert checkpoint.format == "big_vision"
        assert checkpoint.path == str(path)
        assert checkpoint.dtype == "bfloat16"
        assert list(checkpoint.assets) == ["tokenizer_model"]
    shutil.copy(path, tmp_path / "y.npz")
    with pytest.raises(ValueError, match="exactly one"):
        open_checkpoint(tmp_path)


def test_keras_hub(tmp_path):
    writers.write_keras_hub_preset(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "keras_hub"
    assert checkpoint.dtype == "float32"


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (None, "float32"),
        ("bfloat16", "bfloat16"),
        ({"config": {"name": "mixed_bfloat16"}}, "float32"),
        ({"config": {"name": "int8_from_bfloat16"}}, "bfloat16"),
    ],
)
def test_own_preset_is_left_to_keras(tmp_path, dtype, stored):
    config = {"vocabulary_size": 7, "dtype": dtype}
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "registered_name": "keras_paligemma>PaliGemmaBackbone",
                "config": config,
            }
        )
    )
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "keras"
    assert checkpoint.arrays is None
    assert checkpoint.arguments == config
    assert checkpoint.dtype == stored


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "must hold a JSON object"),
        ("{}", "no model_type"),
        ('{"model_type": "llava"}', "model_type='llava'"),
        ('{"registered_name": "other>Thing"}', "other>Thing"),
    ],
)
def test_configs_of_other_models(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        open_checkpoint(tmp_path)
    assert str(tmp_path / "config.json") in str(error.value)


def test_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="Expected a directory"):
        open_checkpoint(tmp_path)


def test_stored_dtype_is_that_of_most_values():
    def lazy(size, dtype):
        return LazyArray.from_numpy(np.ones(size, dtype), "x")

    arrays = {
        "a": lazy(9, ml_dtypes.bfloat16),
        "b": lazy(5, "float32"),
        "c": lazy(20, "int32"),
    }
    assert stored_dtype(arrays) == "bfloat16"
    with pytest.raises(ValueError, match="int32"):
        stored_dtype({"c": arrays["c"]})
