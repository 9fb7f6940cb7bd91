import h5py
import keras
import keras_hub
import numpy as np
import pytest
import safetensors.numpy

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints.checkpoint import open_checkpoint
from keras_paligemma.checkpoints.unimodal import open_decoder
from keras_paligemma.checkpoints.unimodal import open_image_encoder
from tests.checkpoints import writers

ARGUMENTS = writers.tiny_arguments(1)
VISION = {name: ARGUMENTS[name] for name in canonical.IMAGE_ENCODER_ARGUMENTS}
TEXT = {name: ARGUMENTS[name] for name in canonical.DECODER_ARGUMENTS}


def _complete(part, arguments, components):
    assert dict(part.arguments) == arguments
    shapes = canonical.canonical_shapes(arguments, components)
    assert {path: a.shape for path, a in part.arrays.items()} == shapes
    for array in part.arrays.values():
        assert array.read().shape == array.shape


def _same_as_whole(part, whole):
    for path, array in part.arrays.items():
        np.testing.assert_array_equal(array.read(), whole.arrays[path].read())


@pytest.fixture(params=["transformers", "big_vision", "keras_hub"])
def paligemma(request, tmp_path):
    if request.param == "transformers":
        writers.write_transformers_checkpoint(tmp_path)
    elif request.param == "big_vision":
        writers.write_big_vision_npz(tmp_path / "x.npz")
    else:
        writers.write_keras_hub_preset(tmp_path)
    return str(tmp_path)


def test_halves_of_a_paligemma(paligemma):
    whole = open_checkpoint(paligemma)
    image_encoder = open_image_encoder(paligemma)
    _complete(image_encoder, VISION, ("image_encoder",))
    _same_as_whole(image_encoder, whole)
    decoder = open_decoder(paligemma)
    _complete(decoder, TEXT, ("embedding", "decoder"))
    _same_as_whole(decoder, whole)
    assert image_encoder.format == decoder.format == whole.format


@pytest.mark.parametrize("kind", ["SiglipModel", "SiglipVisionModel"])
def test_siglip_of_transformers(tmp_path, kind):
    import transformers

    vision = writers.vision_config(ARGUMENTS, vision_use_head=True)
    if kind == "SiglipModel":
        small = {
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "vocab_size": 20,
            "bos_token_id": 1,
            "eos_token_id": 2,
        }
        config = transformers.SiglipConfig(
            vision_config=vision, text_config=small
        )
    else:
        config = transformers.SiglipVisionConfig(**vision)
    model = getattr(transformers, kind)(config)
    writers.randomize_torch(model, 0)
    model.save_pretrained(tmp_path)
    part = open_image_encoder(tmp_path)
    _complete(part, VISION, ("image_encoder",))
    vision = getattr(model, "vision_model", model)
    expected = vision.encoder.layers[1].mlp.fc2.weight.detach().numpy()
    found = part.arrays["image_encoder/block_1/feedforward/output_dense/kernel"]
    np.testing.assert_array_equal(found.read(), expected)
    with pytest.raises(ValueError, match="model_type='siglip"):
        open_decoder(tmp_path)


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("bare", [False, True])
def test_gemma_of_transformers(tmp_path, generation, bare):
    import transformers

    arguments = writers.tiny_arguments(generation)
    name = "Gemma" if generation == 1 else "Gemma2"
    config = getattr(transformers, f"{name}Config")(
        **writers.text_config(arguments)
    )
    kind = f"{name}Model" if bare else f"{name}ForCausalLM"
    model = getattr(transformers, kind)(config)
    writers.randomize_torch(model, 0)
    model.save_pretrained(tmp_path)
    part = open_decoder(tmp_path)
    expected = {key: arguments[key] for key in canonical.DECODER_ARGUMENTS}
    _complete(part, expected, ("embedding", "decoder"))
    inner = model if bare else model.model
    np.testing.assert_array_equal(
        part.arrays["decoder/block_1/feedforward/up_dense/kernel"].read(),
        inner.layers[1].mlp.up_proj.weight.detach().numpy(),
    )
    with pytest.raises(ValueError, match="another model"):
        open_image_encoder(tmp_path)


def test_siglip_of_keras_hub(tmp_path):
    vision = keras_hub.models.SigLIPVisionEncoder(
        patch_size=4,
        hidden_dim=16,
        num_layers=2,
        num_heads=2,
        intermediate_dim=18,
        image_shape=(12, 12, 3),
    )
    text = keras_hub.models.SigLIPTextEncoder(
        vocabulary_size=20,
        embedding_dim=16,
        hidden_dim=16,
        num_layers=1,
        num_heads=2,
        intermediate_dim=12,
        max_sequence_length=6,
    )
    backbone = keras_hub.models.SigLIPBackbone(vision, text)
    writers.randomize_keras(backbone, 0)
    backbone.save_to_preset(tmp_path)
    part = open_image_encoder(tmp_path)
    _complete(part, VISION, ("image_encoder",))
    values = {path: array.read() for path, array in part.arrays.items()}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 5, 16)).astype("float32")
    for i, layer in enumerate(vision.encoder_layers):
        path = f"image_encoder/block_{i}"
        np.testing.assert_allclose(
            _attention(values, f"{path}/attention", x, num_heads=2),
            _numpy(layer.self_attn(x, x)),
            atol=1e-4,
        )
    with pytest.raises(ValueError, match="SigLIPBackbone"):
        open_decoder(tmp_path)


def _numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def _attention(values, path, x, num_heads):
    """Attention without a mask, in NumPy, with our kernels."""
    parts = []
    for name in ("query", "key", "value"):
        y = x[0] @ values[f"{path}/{name}_dense/kernel"].T
        y = y + values[f"{path}/{name}_dense/bias"]
        parts.append(y.reshape(len(y), num_heads, -1).transpose(1, 0, 2))
    query, key, value = parts
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = scores / scores.sum(-1, keepdims=True) @ value
    mixed = mixed.transpose(1, 0, 2).reshape(len(x[0]), -1)
    kernel = values[f"{path}/output_dense/kernel"]
    return (mixed @ kernel.T + values[f"{path}/output_dense/bias"])[None]


def test_gemma_of_keras_hub(tmp_path):
    backbone = keras_hub.models.GemmaBackbone(**TEXT)
    backbone.save_to_preset(tmp_path)
    _complete(open_decoder(tmp_path), TEXT, ("embedding", "decoder"))
    with pytest.raises(ValueError, match="GemmaBackbone"):
        open_image_encoder(tmp_path)


def test_the_optimizer_of_a_trained_half_is_passed_over(tmp_path):
    backbone = keras_hub.models.GemmaBackbone(**TEXT)
    backbone.compile("adam")
    backbone.optimizer.build(backbone.trainable_variables)
    backbone.save_to_preset(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert len(file["optimizer/vars"]) > 2
    _complete(open_decoder(tmp_path), TEXT, ("embedding", "decoder"))


def test_siglip_of_big_vision(tmp_path):
    path = tmp_path / "siglip.npz"
    arrays = writers.write_big_vision_npz(
        path, keep=lambda key: key.startswith("img/")
    )
    arrays["img/head/kernel"] = np.ones((16, 7), "float32")
    arrays["img/head/bias"] = np.ones(7, "float32")
    more = {
        "img/MAPHead_0/probe": np.ones((1, 1, 16)),
        "txt/head/kernel": np.ones((3, 3)),
        "t": np.ones(1),
        "b": np.ones(1),
    }
    stored = {f"params/{k}": v for k, v in {**arrays, **more}.items()}
    np.savez(path, **stored)
    _complete(open_image_encoder(path), VISION, ("image_encoder",))
    with pytest.raises(ValueError, match="llm/embedder/input_embedding"):
        open_decoder(path)


@pytest.mark.parametrize("transposed", [False, True])
def test_gemma_in_big_visions_names(tmp_path, transposed):
    path = tmp_path / "gemma.npz"
    arrays = writers.write_big_vision_npz(
        path, keep=lambda key: key.startswith("llm/")
    )
    gating = arrays["llm/layers/mlp/gating_einsum"].copy()
    if transposed:
        arrays["llm/layers/mlp/gating_einsum"] = gating.swapaxes(-1, -2)
    np.savez(path, **{k.removeprefix("llm/"): v for k, v in arrays.items()})
    part = open_decoder(path)
    _complete(part, TEXT, ("embedding", "decoder"))
    up = part.arrays["decoder/block_1/feedforward/up_dense/kernel"].read()
    np.testing.assert_array_equal(up, gating[1, 1].T)


def test_padding_rows_of_gemmas_own_files_are_dropped(tmp_path):
    path = tmp_path / "gemma.npz"
    arguments = writers.tiny_arguments(1, vocabulary_size=256128, hidden_dim=8)
    writers.write_big_vision_npz(
        path, arguments, dtype="float16", keep=lambda k: k.startswith("llm/")
    )
    part = open_decoder(path)
    assert part.arguments["vocabulary_size"] == 256000
    assert part.arrays["embedding/embeddings"].shape == (256000, 8)


def test_a_missing_array_of_the_half_is_named(tmp_path):
    writers.write_transformers_checkpoint(tmp_path)
    file = tmp_path / "model.safetensors"
    arrays = safetensors.numpy.load_file(file)
    del arrays["language_model.model.norm.weight"]
    safetensors.numpy.save_file(arrays, file)
    open_image_encoder(tmp_path)
    with pytest.raises(ValueError, match="text.norm.weight: missing"):
        open_decoder(tmp_path)
