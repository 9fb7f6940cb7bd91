import json
import os

import keras
import keras_hub
import numpy as np
import pytest

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import keras_hub as names
from keras_paligemma.checkpoints import table
from keras_paligemma.checkpoints.h5_reader import read_h5_directory
from keras_paligemma.checkpoints.keras_hub_reader import read_keras_hub
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import write_keras_hub_preset

COMPONENTS = tuple(canonical.COMPONENTS)


def _numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def check_maths(values, backbone):
    """Each layer of Keras-Hub computes the product of our kernels."""
    rng = np.random.default_rng(1)

    def same(path, layer, shape, bias=True):
        x = rng.standard_normal((1, 2, *shape)).astype("float32")
        flat = x.reshape(1, 2, -1)
        result = flat @ values[f"{path}/kernel"].T
        if bias:
            result = result + values[f"{path}/bias"]
        expected = _numpy(layer(x)).reshape(result.shape)
        np.testing.assert_allclose(result, expected, atol=1e-4, err_msg=path)

    vit = backbone.vit_encoder.get_layer("image_encoder")
    for i, block in enumerate(vit.resblocks):
        path = f"image_encoder/block_{i}"
        for ours, theirs in (
            ("query", "query_proj"),
            ("key", "key_proj"),
            ("value", "value_proj"),
            ("output", "out_proj"),
        ):
            layer = getattr(block.attn, theirs)
            same(f"{path}/attention/{ours}_dense", layer, (16,))
        same(f"{path}/feedforward/input_dense", block.mlp_dense_1, (16,))
        same(f"{path}/feedforward/output_dense", block.mlp_dense_2, (18,))
    same("projector", backbone.vit_encoder.get_layer("image_classifier"), (16,))
    for i, block in enumerate(backbone.transformer_layers):
        path = f"decoder/block_{i}"
        attention = block.attention
        for name in ("query", "key", "value"):
            layer = getattr(attention, f"{name}_dense")
            same(f"{path}/attention/{name}_dense", layer, (24,), False)
        layer = attention.output_dense
        same(f"{path}/attention/output_dense", layer, (4, 8), False)
        for name, layer in (
            ("gate", block.gating_ffw),
            ("up", block.gating_ffw_2),
        ):
            same(f"{path}/feedforward/{name}_dense", layer, (24,), False)
        same(f"{path}/feedforward/down_dense", block.ffw_linear, (20,), False)
        for ours, theirs in (
            ("attention_norm", "pre_attention_norm"),
            ("feedforward_norm", "pre_ffw_norm"),
            ("post_attention_norm", "post_attention_norm"),
            ("post_feedforward_norm", "post_ffw_norm"),
        ):
            if f"{path}/{ours}/scale" in values:
                np.testing.assert_array_equal(
                    values[f"{path}/{ours}/scale"],
                    _numpy(getattr(block, theirs).scale),
                )
    images = rng.standard_normal((1, 4, 4, 3)).astype("float32")
    patches = images.reshape(1, -1)
    kernel = values["image_encoder/patch_embedding/kernel"]
    np.testing.assert_allclose(
        patches @ kernel.T + values["image_encoder/patch_embedding/bias"],
        _numpy(vit.vision_embeddings.patch_embedding(images))[0, 0],
        atol=1e-4,
    )


@pytest.mark.parametrize("generation", [1, 2])
def test_sizes_and_values(tmp_path, generation):
    backbone = write_keras_hub_preset(tmp_path, generation)
    arguments, arrays = read_keras_hub(tmp_path)
    assert arguments == tiny_arguments(generation)
    values = {path: array.read() for path, array in arrays.items()}
    check_maths(values, backbone)
    back = table.invert(
        names.table("PaliGemmaBackbone"), arrays, arguments, COMPONENTS
    )
    stored = names.normalise_keys(read_h5_directory(tmp_path))
    assert set(back) == set(stored)
    for key, array in stored.items():
        np.testing.assert_array_equal(back[key].read(), array.read())


def test_sharded_and_bfloat16(tmp_path):
    write_keras_hub_preset(
        tmp_path, 2, dtype="bfloat16", max_shard_size=8192 / 2**30
    )
    assert not os.path.exists(tmp_path / "model.weights.h5")
    config = json.loads((tmp_path / "config.json").read_text())
    assert isinstance(config["config"]["dtype"], dict)
    _, arrays = read_keras_hub(tmp_path)
    assert {str(array.dtype) for array in arrays.values()} == {"bfloat16"}
    write_keras_hub_preset(tmp_path / "single", 2, dtype="bfloat16")
    _, single = read_keras_hub(tmp_path / "single")
    for path, array in arrays.items():
        np.testing.assert_array_equal(array.read(), single[path].read())


def test_dropout_state_is_no_weight(tmp_path):
    arguments = tiny_arguments(1, dropout=0.1)
    write_keras_hub_preset(tmp_path, arguments=arguments)
    assert read_keras_hub(tmp_path)[0]["dropout"] == 0.1


@pytest.mark.parametrize(
    "change", [{"vit_pooling": "gap"}, {"vit_classifier_activation": "relu"}]
)
def test_another_image_encoder(tmp_path, change):
    write_keras_hub_preset(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["config"].update(change)
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"expected {list(change)[0]}=None"):
        read_keras_hub(tmp_path)


def test_another_model(tmp_path):
    keras_hub.models.BertBackbone(
        vocabulary_size=8,
        num_layers=1,
        num_heads=1,
        hidden_dim=4,
        intermediate_dim=4,
    ).save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="keras_hub>BertBackbone"):
        read_keras_hub(tmp_path)


def test_config_of_other_sizes(tmp_path):
    write_keras_hub_preset(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["config"]["hidden_dim"] = 32
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="nothing was loaded") as error:
        read_keras_hub(tmp_path)
    assert "model.weights.h5: layers/reversible_embedding" in str(error.value)
