import json
import os

import ml_dtypes
import numpy as np
import PIL.Image
import pytest
import sentencepiece

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.checkpoint import open_checkpoint
from keras_paligemma.checkpoints.export import write_transformers
from tests.checkpoints.writers import random_values
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import write_transformers_checkpoint


def _arrays(arguments, dtype="float32"):
    rng = np.random.default_rng(0)
    return {
        path: random_values(rng, path, shape).astype(dtype)
        for path, shape in canonical.canonical_shapes(arguments).items()
    }


@pytest.fixture(scope="module")
def proto(tiny_tokenizer):
    return tiny_tokenizer.proto


def _load(directory):
    import transformers

    model, info = (
        transformers.PaliGemmaForConditionalGeneration.from_pretrained(
            directory, output_loading_info=True
        )
    )
    assert not any(info.values()), info
    return model.eval()


@pytest.mark.parametrize(
    "arguments",
    [
        tiny_arguments(1),
        tiny_arguments(2),
        tiny_arguments(2, query_head_dim_normalize=False),
        tiny_arguments(2, final_logit_soft_cap=None),
    ],
)
@pytest.mark.parametrize("size", ["5GB", "8KB"])
def test_transformers_loads_it_and_it_is_read_back(tmp_path, arguments, size):
    arrays = _arrays(arguments)
    kinds = {
        path: [
            values,
            LazyArray.from_numpy(values, path),
            lambda values=values: values,
        ][index % 3]
        for index, (path, values) in enumerate(arrays.items())
    }
    directory = tmp_path / "out"
    write_transformers(
        directory, arguments, kinds, dtype="float32", max_shard_size=size
    )
    sharded = (directory / "model.safetensors.index.json").exists()
    assert sharded == (size == "8KB")
    model = _load(directory)
    rows = arrays["embedding/embeddings"]
    embedding = model.get_input_embeddings().weight.detach().numpy()
    assert embedding.shape == (128, 24)
    np.testing.assert_array_equal(embedding[:67], rows)
    assert not embedding[67:].any()
    back = open_checkpoint(directory)
    assert back.arguments == arguments
    for path, values in arrays.items():
        np.testing.assert_array_equal(back.arrays[path].read(), values)


@pytest.mark.parametrize("generation", [1, 2])
def test_there_and_back_is_bit_equal_and_computes_the_same(
    tmp_path, generation
):
    import torch

    original = write_transformers_checkpoint(tmp_path / "in", generation)
    checkpoint = open_checkpoint(tmp_path / "in")
    write_transformers(
        tmp_path / "out",
        checkpoint.arguments,
        checkpoint.arrays,
        dtype=checkpoint.dtype,
    )
    model = _load(tmp_path / "out")
    theirs, ours = original.state_dict(), model.state_dict()
    assert set(theirs) == set(ours)
    for key, value in theirs.items():
        rows = slice(67) if len(value) == 72 else slice(None)
        assert torch.equal(value[rows], ours[key][rows]), key
    image = checkpoint.arguments["vocabulary_size"]
    inputs = {
        "input_ids": torch.tensor([[image] * 9 + [2, 5, 9, 11]]),
        "token_type_ids": torch.zeros((1, 13), dtype=torch.long),
        "attention_mask": torch.ones((1, 13), dtype=torch.long),
        "pixel_values": torch.rand((1, 3, 12, 12)) * 2 - 1,
    }
    with torch.no_grad():
        expected = original(**inputs).logits[..., :67]
        logits = model(**inputs).logits[..., :67]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_the_window_stays_off_or_on(tmp_path):
    for window in (False, True):
        arguments = tiny_arguments(
            2, use_sliding_window_attention=window, sliding_window_size=7
        )
        directory = tmp_path / str(window)
        write_transformers(directory, arguments, _arrays(arguments))
        text = _load(directory).config.text_config
        kinds = ["sliding_attention" if window else "full_attention"]
        assert text.layer_types == [*kinds, "full_attention"]
        assert text.sliding_window == 7


def test_bfloat16_is_kept_bit_by_bit(tmp_path):
    arguments = tiny_arguments(1)
    arrays = _arrays(arguments, ml_dtypes.bfloat16)
    write_transformers(
        tmp_path / "out",
        arguments,
        {path: lambda v=values: v for path, values in arrays.items()},
    )
    back = open_checkpoint(tmp_path / "out")
    assert back.dtype == "bfloat16"
    for path, values in arrays.items():
        found = back.arrays[path].read()
        np.testing.assert_array_equal(
            found.view("uint16"), values.view("uint16")
        )


def test_processor_and_generation(tmp_path, proto):
    import transformers

    pieces = sentencepiece.SentencePieceProcessor(model_proto=proto)
    arguments = tiny_arguments(1, vocabulary_size=len(pieces))
    directory = tmp_path / "out"
    write_transformers(directory, arguments, _arrays(arguments), proto)
    model = _load(directory)
    image = PIL.Image.new("RGB", (20, 30), (255, 0, 0))
    for kind in (transformers.AutoProcessor, transformers.PaliGemmaProcessor):
        processor = kind.from_pretrained(directory)
        assert processor.image_token_id == len(pieces)
        assert len(processor.tokenizer) == len(pieces) + 1
        batch = processor(
            text="<image>caption en", images=image, return_tensors="pt"
        )
        expected = [len(pieces)] * 9 + [2]
        expected += pieces.encode("caption en") + pieces.encode("\n")
        assert batch["input_ids"][0].tolist() == expected
        pixels = batch["pixel_values"].numpy()
        assert pixels.shape == (1, 3, 12, 12)
        np.testing.assert_allclose(pixels[0, :, 5, 5], [1, -1, -1], atol=1e-6)
    output = model.generate(
        **batch.to(model.dtype), max_new_tokens=3, do_sample=False
    )
    assert output.shape[1] > batch["input_ids"].shape[1]
    config = json.loads((directory / "preprocessor_config.json").read_text())
    assert config["resample"] == 2
    assert (directory / "tokenizer.model").read_bytes() == proto


def test_interpolation(tmp_path, proto):
    arguments = tiny_arguments(1, vocabulary_size=1552)
    arrays = _arrays(arguments)
    write_transformers(
        tmp_path / "a", arguments, arrays, proto, {"interpolation": "bicubic"}
    )
    path = tmp_path / "a" / "preprocessor_config.json"
    assert json.loads(path.read_text())["resample"] == 3
    with pytest.raises(ValueError, match="interpolation='other'"):
        write_transformers(
            tmp_path / "b", arguments, arrays, proto, {"interpolation": "other"}
        )
    assert os.listdir(tmp_path) == ["a"]


def test_nothing_is_overwritten_or_left_half_written(tmp_path):
    arguments = tiny_arguments(1)
    arrays = _arrays(arguments)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="Received: directory=.*full"):
        write_transformers(tmp_path / "full", arguments, arrays)
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"

    def fail():
        raise RuntimeError("disk on fire")

    broken = {**arrays, "decoder/final_norm/scale": fail}
    with pytest.raises(RuntimeError, match="disk on fire"):
        write_transformers(tmp_path / "new", arguments, broken)
    assert os.listdir(tmp_path) == ["full"]
    (tmp_path / "empty").mkdir()
    write_transformers(tmp_path / "empty", arguments, arrays)
    assert "config.json" in os.listdir(tmp_path / "empty")


@pytest.mark.parametrize(
    "change",
    [
        {"use_post_ffw_norm": True},
        {"attention_logit_soft_cap": 50.0},
        {"query_head_dim_normalize": False},
        {"use_sliding_window_attention": True},
    ],
)
def test_a_model_that_transformers_lacks(tmp_path, change):
    arguments = tiny_arguments(1, **change)
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"{name}={change[name]}"):
        write_transformers(tmp_path / "out", arguments, _arrays(arguments))
    assert not os.listdir(tmp_path)


def test_bad_arguments(tmp_path, proto):
    arguments = tiny_arguments(1)
    arrays = _arrays(arguments)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="dtype='int8'"):
        write_transformers(out, arguments, arrays, dtype="int8")
    with pytest.raises(ValueError, match="max_shard_size='big'"):
        write_transformers(out, arguments, arrays, max_shard_size="big")
    with pytest.raises(ValueError, match="1552 pieces, vocabulary_size=67"):
        write_transformers(out, arguments, arrays, proto)
    with pytest.raises(
        ValueError, match="no SentencePiece|SentencePiece model"
    ):
        write_transformers(out, arguments, arrays, b"not a model")
    wrong = {**arrays, "projector/bias": np.ones(3)}
    with pytest.raises(ValueError, match=r"projector/bias.*\(24,\).*\(3,\)"):
        write_transformers(out, arguments, wrong)
    wrong = {**arrays, "projector/bias": lambda: np.ones(3)}
    with pytest.raises(ValueError, match=r"expected shape \(24,\)"):
        write_transformers(out, arguments, wrong)
    assert not os.listdir(tmp_path)
