"""The same text and image through Transformers' processor."""

import json
import warnings

import numpy as np
import pytest

from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor
from keras_paligemma.preprocessing import PaliGemmaImageConverter

PROMPTS = [
    "caption en",
    "detect cat ; dog",
    "caption <loc0001><loc0222><loc1000><loc1023>",
    "answer en 10 % of über?",
]
SUFFIX = "<loc0005><loc0006><loc0007><loc0008><seg127> cat"


@pytest.fixture(scope="module")
def processor(tiny_tokenizer, tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "tokenizer.model").write_bytes(tiny_tokenizer.proto)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GemmaTokenizer"})
    )
    image_processor = transformers.SiglipImageProcessor(
        size={"height": 28, "width": 28}
    )
    image_processor.image_seq_length = 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = transformers.GemmaTokenizer.from_pretrained(folder)
        return transformers.PaliGemmaProcessor(image_processor, tokenizer)


@pytest.fixture(scope="module")
def preprocessor(tiny_tokenizer):
    return PaliGemmaCausalLMPreprocessor(
        tiny_tokenizer,
        PaliGemmaImageConverter(28, interpolation="bicubic"),
        sequence_length=64,
    )


@pytest.mark.parametrize("prompt", PROMPTS)
def test_token_ids(processor, preprocessor, photographs, prompt):
    image = photographs["cat"]
    theirs = processor(
        images=[image],
        text=["<image>" + prompt],
        suffix=[SUFFIX],
        return_tensors="np",
    )
    x, y, _ = preprocessor(
        {"images": image, "prompts": prompt, "responses": SUFFIX}
    )
    ours = x["token_ids"][x["padding_mask"] == 1]
    expected = theirs["input_ids"][0]
    expected = expected[expected != processor.image_token_id]
    np.testing.assert_array_equal(ours, expected)
    in_response = theirs["token_type_ids"][0][-len(ours) :]
    np.testing.assert_array_equal(
        x["response_mask"][x["padding_mask"] == 1], in_response
    )


@pytest.mark.parametrize("name", ["astronaut", "cat", "temple", "flower"])
def test_bicubic_pixels(processor, preprocessor, photographs, name):
    image = photographs[name]
    theirs = processor(
        images=[image], text=["<image>caption en"], return_tensors="np"
    )["pixel_values"][0].transpose(1, 2, 0)
    ours = preprocessor.image_converter(image)
    assert np.abs(ours - theirs).max() * 127.5 < 2.0
