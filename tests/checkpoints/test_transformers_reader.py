import json
import os

import numpy as np
import pytest
import safetensors.numpy

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import table
from keras_paligemma.checkpoints import transformers
from keras_paligemma.checkpoints.transformers_reader import read_transformers
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import write_transformers_checkpoint

COMPONENTS = tuple(canonical.COMPONENTS)
TOKENS = "language_model.model.embed_tokens.weight"

# Old and new places of the four parts, as published over time.
SPELLINGS = {
    "first": (
        "language_model.model.",
        "vision_tower.vision_model.",
        "multi_modal_projector.",
        "language_model.lm_head.weight",
    ),
    "nested": (
        "model.language_model.",
        "model.vision_tower.vision_model.",
        "model.multi_modal_projector.",
        "lm_head.weight",
    ),
    "flat_vision": (
        "model.language_model.",
        "model.vision_tower.",
        "model.multi_modal_projector.",
        "lm_head.weight",
    ),
    "newest": (
        "language_model.model.",
        "vision_tower.",
        "multi_modal_projector.",
        "lm_head.weight",
    ),
}


def expected_arrays(model):
    """The backbone's arrays, taken from the modules of the torch model."""
    state = {}

    def put(path, tensor):
        state[path] = tensor.detach().float().numpy()

    def dense(path, module):
        put(f"{path}/kernel", module.weight)
        if module.bias is not None:
            put(f"{path}/bias", module.bias)

    def norm(path, module):
        put(f"{path}/gamma", module.weight)
        put(f"{path}/beta", module.bias)

    vision, text = model.model.vision_tower, model.model.language_model
    patches = vision.embeddings.patch_embedding
    kernel = patches.weight.detach().permute(0, 2, 3, 1)
    put("image_encoder/patch_embedding/kernel", kernel.flatten(1))
    put("image_encoder/patch_embedding/bias", patches.bias)
    put(
        "image_encoder/position_embedding",
        vision.embeddings.position_embedding.weight,
    )
    for i, layer in enumerate(vision.encoder.layers):
        path = f"image_encoder/block_{i}"
        norm(f"{path}/attention_norm", layer.layer_norm1)
        for ours, theirs in (
            ("query", "q_proj"),
            ("key", "k_proj"),
            ("value", "v_proj"),
            ("output", "out_proj"),
        ):
            module = getattr(layer.self_attn, theirs)
            dense(f"{path}/attention/{ours}_dense", module)
        norm(f"{path}/feedforward_norm", layer.layer_norm2)
        dense(f"{path}/feedforward/input_dense", layer.mlp.fc1)
        dense(f"{path}/feedforward/output_dense", layer.mlp.fc2)
    norm("image_encoder/final_norm", vision.post_layernorm)
    dense("projector", model.model.multi_modal_projector.linear)
    rows = model.config.image_token_index
    put("embedding/embeddings", text.embed_tokens.weight[:rows])
    for i, layer in enumerate(text.layers):
        path = f"decoder/block_{i}"
        put(f"{path}/attention_norm/scale", layer.input_layernorm.weight)
        for ours, theirs in (
            ("query", "q_proj"),
            ("key", "k_proj"),
            ("value", "v_proj"),
            ("output", "o_proj"),
        ):
            module = getattr(layer.self_attn, theirs)
            dense(f"{path}/attention/{ours}_dense", module)
        after_attention = layer.post_attention_layernorm.weight
        if text.config.model_type == "gemma2":
            put(f"{path}/post_attention_norm/scale", after_attention)
            before = layer.pre_feedforward_layernorm.weight
            put(f"{path}/feedforward_norm/scale", before)
            after = layer.post_feedforward_layernorm.weight
            put(f"{path}/post_feedforward_norm/scale", after)
        else:
            put(f"{path}/feedforward_norm/scale", after_attention)
        for name in ("gate", "up", "down"):
            module = getattr(layer.mlp, f"{name}_proj")
            dense(f"{path}/feedforward/{name}_dense", module)
    put("decoder/final_norm/scale", text.norm.weight)
    return state


def assert_equal(arrays, expected):
    assert set(arrays) == set(expected)
    for path, values in expected.items():
        np.testing.assert_array_equal(
            arrays[path].read().astype("float32"), values, err_msg=path
        )


def rename(directory, change):
    """Rewrites the one safetensors file with the keys that `change` gives."""
    path = os.path.join(directory, "model.safetensors")
    arrays = change(safetensors.numpy.load_file(path))
    safetensors.numpy.save_file(arrays, path)


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", ["5GB", "8KB"])
def test_single_and_sharded(tmp_path, generation, dtype, size):
    model = write_transformers_checkpoint(
        tmp_path, generation, dtype=dtype, max_shard_size=size
    )
    sharded = (tmp_path / "model.safetensors.index.json").exists()
    assert sharded == (size == "8KB")
    arguments, arrays = read_transformers(tmp_path)
    assert arguments == tiny_arguments(generation)
    assert {str(array.dtype) for array in arrays.values()} == {dtype}
    assert_equal(arrays, expected_arrays(model))


def test_scale_by_width(tmp_path):
    arguments = tiny_arguments(2, query_head_dim_normalize=False)
    write_transformers_checkpoint(tmp_path, arguments=arguments)
    assert read_transformers(tmp_path)[0] == arguments


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("tied", ["tokens", "head", "both"])
def test_every_spelling(tmp_path, spelling, tied):
    model = write_transformers_checkpoint(tmp_path)
    text, vision, projector, head = SPELLINGS[spelling]

    def change(arrays):
        renamed = {}
        for key, values in arrays.items():
            for old, new in (
                ("language_model.model.", text),
                ("vision_tower.", vision),
                ("multi_modal_projector.", projector),
            ):
                if key.startswith(old):
                    renamed[new + key.removeprefix(old)] = values
        assert len(renamed) == len(arrays)
        tokens = f"{text}embed_tokens.weight"
        if tied != "tokens":
            renamed[head] = renamed[tokens].copy()
        if tied == "head":
            del renamed[tokens]
        # Neither pooling head nor buffers are part of the model.
        renamed[f"{vision}head.probe"] = np.ones((1, 1, 16), "float32")
        renamed[f"{vision}embeddings.position_ids"] = np.arange(9)
        return renamed

    rename(tmp_path, change)
    assert_equal(read_transformers(tmp_path)[1], expected_arrays(model))


def test_untied_embeddings_are_refused(tmp_path):
    write_transformers_checkpoint(tmp_path)

    def change(arrays):
        head = arrays[TOKENS].copy()
        # Rows of Transformers' own tokens may differ.
        head[-1] += 1
        return {**arrays, "lm_head.weight": head}

    rename(tmp_path, change)
    read_transformers(tmp_path)

    def change_more(arrays):
        arrays["lm_head.weight"][3, 3] += 1
        return arrays

    rename(tmp_path, change_more)
    with pytest.raises(ValueError, match="two that differ") as error:
        read_transformers(tmp_path)
    assert "lm_head.weight of shape (72, 24)" in str(error.value)


def test_two_spellings_of_one_array(tmp_path):
    write_transformers_checkpoint(tmp_path)
    key = "model.language_model.norm.weight"
    rename(tmp_path, lambda arrays: {**arrays, key: np.ones(24, "float32")})
    with pytest.raises(ValueError, match="spellings of one"):
        read_transformers(tmp_path)


def test_both_names_of_the_image_token(tmp_path):
    write_transformers_checkpoint(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["image_token_id"] = config.pop("image_token_index")
    path.write_text(json.dumps(config))
    assert read_transformers(tmp_path)[0]["vocabulary_size"] == 67


def test_missing_left_over_and_wrong_shape_together(tmp_path):
    write_transformers_checkpoint(tmp_path)

    def change(arrays):
        del arrays["language_model.model.norm.weight"]
        arrays["vision_tower.extra"] = np.ones(3, "float32")
        arrays[TOKENS] = arrays[TOKENS][:60]
        return arrays

    rename(tmp_path, change)
    with pytest.raises(ValueError, match="nothing was loaded") as error:
        read_transformers(tmp_path)
    text = str(error.value)
    file = os.path.join(tmp_path, "model.safetensors")
    assert f"{tmp_path}: text.norm.weight: missing" in text
    assert f"{file}: vision_tower.extra: left over" in text
    assert (
        f"{file}: {TOKENS}: expected shape (67, 24) or more rows for "
        "embedding/embeddings. Received: shape=(60, 24)"
    ) in text


def test_inverse_is_what_was_read(tmp_path):
    write_transformers_checkpoint(tmp_path, 2, extra_rows=0)
    arguments, arrays = read_transformers(tmp_path)
    back = table.invert(
        transformers.table(arguments), arrays, arguments, COMPONENTS
    )
    stored = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    named = {transformers.normalise_key(key): key for key in stored}
    assert set(named) == set(back)
    for name, key in named.items():
        np.testing.assert_array_equal(back[name].read(), stored[key])
