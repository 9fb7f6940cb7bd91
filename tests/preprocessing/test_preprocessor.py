import keras
import numpy as np
import pytest
from PIL import Image

from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor
from keras_paligemma.preprocessing import PaliGemmaImageConverter
from keras_paligemma.preprocessing import PaliGemmaTokenizer

LENGTH = 24


@pytest.fixture
def preprocessor(tiny_tokenizer):
    return PaliGemmaCausalLMPreprocessor(
        tiny_tokenizer, PaliGemmaImageConverter(28), sequence_length=LENGTH
    )


@pytest.fixture
def examples(photographs):
    return {
        "images": [photographs["cat"], photographs["coffee"]],
        "prompts": ["caption en", "caption de"],
        "responses": ["A cat", "Ein Sofa"],
    }


def test_training_inputs_literal(preprocessor, photographs, tiny_tokenizer):
    x, y, sample_weight = preprocessor(
        {
            "images": photographs["cat"],
            "prompts": "caption en",
            "responses": "A cat",
        },
        sequence_length=10,
    )
    assert set(x) == {"images", "token_ids", "padding_mask", "response_mask"}
    prompt = tiny_tokenizer("caption en").tolist()
    answer = tiny_tokenizer("A cat").tolist()
    assert (len(prompt), len(answer)) == (3, 2)
    tokens = [2, *prompt, 4, *answer, 1, 0, 0]
    assert x["token_ids"].tolist() == tokens
    assert x["padding_mask"].tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert x["response_mask"].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert y.tolist() == [*tokens[1:], 0]
    # SEP predicts the first token of the answer, whose last one predicts EOS.
    assert sample_weight.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_shapes_and_dtypes(preprocessor, examples):
    x, y, sample_weight = preprocessor(examples)
    assert x["images"].shape == (2, 28, 28, 3)
    assert x["images"].dtype == np.float32
    for key in ("token_ids", "padding_mask", "response_mask"):
        assert x[key].shape == (2, LENGTH)
        assert x[key].dtype == np.int32
    assert (y.shape, y.dtype) == ((2, LENGTH), np.int32)
    assert (sample_weight.shape, sample_weight.dtype) == (
        (2, LENGTH),
        np.float32,
    )
    for value in keras.tree.flatten((x, y, sample_weight)):
        assert isinstance(value, np.ndarray)
    np.testing.assert_array_equal(
        x["images"], preprocessor.image_converter(examples["images"])
    )


def test_tokens_are_counted_as_they_are_packed(preprocessor, examples):
    x, _, _ = preprocessor(examples)
    counts = preprocessor.num_tokens(examples)
    assert counts == x["padding_mask"].sum(axis=1).tolist()
    # Before any is cut.
    examples["responses"] = ["A cat" * 20, ""]
    longest, shortest = preprocessor.num_tokens(examples)
    response = preprocessor.tokenizer("Ein Sofa")
    assert longest > LENGTH
    assert shortest == counts[1] - len(response)


def test_batch_equals_each_alone(preprocessor, examples):
    batch = preprocessor(examples)
    for index in range(2):
        alone = preprocessor({k: v[index] for k, v in examples.items()})
        row = keras.tree.map_structure(lambda value, i=index: value[i], batch)
        keras.tree.map_structure(np.testing.assert_array_equal, alone, row)


def test_separator_never_merges_and_is_never_doubled(preprocessor, examples):
    expected = preprocessor(examples)[0]["token_ids"]
    for edit in (
        lambda prompt: prompt + "\n",
        lambda prompt: "<image><bos>" + prompt,
        lambda prompt: "<image> " + prompt + "\n",
    ):
        edited = {**examples, "prompts": [*map(edit, examples["prompts"])]}
        np.testing.assert_array_equal(
            preprocessor(edited)[0]["token_ids"], expected
        )
    assert (expected == preprocessor.tokenizer.separator_token_id).sum() == 2


def test_without_start_and_end_tokens(tiny_tokenizer, examples):
    preprocessor = PaliGemmaCausalLMPreprocessor(
        tiny_tokenizer,
        PaliGemmaImageConverter(28),
        sequence_length=LENGTH,
        add_start_token=False,
        add_end_token=False,
    )
    token_ids = preprocessor(examples)[0]["token_ids"]
    assert not np.isin(token_ids, [1, 2]).any()


def test_generation_inputs(preprocessor, examples):
    del examples["responses"]
    x = preprocessor.generate_preprocess(examples, sequence_length=16)
    assert set(x) == {"images", "token_ids", "padding_mask", "response_mask"}
    tokenizer = preprocessor.tokenizer
    for row, prompt in enumerate(examples["prompts"]):
        tokens = [2, *tokenizer(prompt).tolist(), 4]
        padding = [0] * (16 - len(tokens))
        assert x["token_ids"][row].tolist() == tokens + padding
        assert x["padding_mask"][row].tolist() == [1] * len(tokens) + padding
    assert not x["response_mask"].any()


def test_forced_start_of_the_answer_is_marked(preprocessor, examples):
    x = preprocessor.generate_preprocess(examples)
    tokenizer = preprocessor.tokenizer
    assert 1 not in x["token_ids"]
    for row in range(2):
        forced = x["token_ids"][row][x["response_mask"][row] == 1]
        expected = tokenizer(examples["responses"][row])
        np.testing.assert_array_equal(forced, expected)
    texts = preprocessor.generate_postprocess(x)
    assert texts == ["caption en\nA cat", "caption de\nEin Sofa"]


def test_generation_keeps_room_for_one_token(preprocessor, examples):
    examples["prompts"] = ["caption en " * 20, "caption de"]
    del examples["responses"]
    with pytest.warns(UserWarning, match="sequence_length=12"):
        x = preprocessor.generate_preprocess(examples, sequence_length=12)
    assert x["token_ids"].shape == (2, 12)
    assert x["padding_mask"].sum(axis=1)[0] == 11
    assert x["token_ids"][0, 10] == preprocessor.tokenizer.separator_token_id
    # A prompt that just fits is not cut.
    length = int(x["padding_mask"][1].sum())
    examples["prompts"] = ["caption de"] * 2
    x = preprocessor.generate_preprocess(examples, sequence_length=length + 1)
    assert (x["padding_mask"].sum(axis=1) == length).all()
    assert preprocessor.truncated_prompts == 1


def test_one_image_with_a_list_of_one_prompt(preprocessor, photographs):
    """Keras-Hub's `generate` makes the text a list, but not the image."""
    expected = preprocessor.generate_preprocess(
        {"images": photographs["cat"], "prompts": "caption en"}
    )
    assert expected["token_ids"].ndim == 1
    assert expected["images"].shape == (28, 28, 3)
    for image in (photographs["cat"], Image.fromarray(photographs["cat"])):
        batch = preprocessor.generate_preprocess(
            {"images": image, "prompts": ["caption en"]}
        )
        keras.tree.map_structure(
            lambda row, value: np.testing.assert_array_equal(row[None], value),
            expected,
            batch,
        )


def test_postprocess(preprocessor):
    tokenizer = preprocessor.tokenizer
    prompt = tokenizer("detect cat").tolist()
    answer = tokenizer("<loc0001><loc1023> cat\ndog").tolist()
    tokens = [2, *prompt, 4, *answer, 1, 0, 0]
    mask = [1] * (len(tokens) - 2) + [0, 0]
    text = "detect cat\n<loc0001><loc1023> cat\ndog"
    x = {"token_ids": np.array(tokens), "padding_mask": np.array(mask)}
    assert preprocessor.generate_postprocess(x) == text
    batch = {k: keras.ops.convert_to_tensor(v[None]) for k, v in x.items()}
    assert preprocessor.generate_postprocess(batch) == [text]
    # With the prompt stripped the caller masks it.
    mask = [0] * (len(prompt) + 2) + [1] * (len(answer) + 1) + [0, 0]
    x["padding_mask"] = np.array(mask)
    assert preprocessor.generate_postprocess(x) == "<loc0001><loc1023> cat\ndog"
    x["padding_mask"] = np.zeros(len(tokens), bool)
    assert preprocessor.generate_postprocess(x) == ""
    x = {"token_ids": np.array([5000]), "padding_mask": np.array([1])}
    with pytest.raises(ValueError, match="vocabulary of 1552.*5000"):
        preprocessor.generate_postprocess(x)


def test_several_images_of_different_numbers(preprocessor, photographs):
    cat, coffee = photographs["cat"], photographs["coffee"]
    x = preprocessor(
        {
            "images": [[cat, coffee, cat], [coffee], []],
            "prompts": ["caption en"] * 3,
            "responses": ["A cat"] * 3,
        }
    )[0]
    converted = preprocessor.image_converter([cat, coffee])
    assert x["images"].shape == (3, 3, 28, 28, 3)
    assert x["image_mask"].dtype == np.int32
    assert x["image_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(x["images"][0], converted[[0, 1, 0]])
    np.testing.assert_array_equal(x["images"][1, 0], converted[1])
    assert not x["images"][1, 1:].any()
    assert not x["images"][2].any()


def test_several_images_of_one_number(preprocessor, photographs):
    batch = np.stack([list(photographs.values())[:2]] * 3)
    texts = {"prompts": ["caption en"] * 3, "responses": ["A cat"] * 3}
    for images in (batch, [list(row) for row in batch], list(batch)):
        x = preprocessor({"images": images, **texts})[0]
        assert x["images"].shape == (3, 2, 28, 28, 3)
        assert x["image_mask"].tolist() == [[1, 1]] * 3
    x = preprocessor({"images": [[row[0]] for row in batch], **texts})[0]
    assert x["images"].shape == (3, 28, 28, 3)
    assert "image_mask" not in x
    x = preprocessor.generate_preprocess(
        {"images": list(batch[0]), "prompts": "caption en"}
    )
    assert x["images"].shape == (2, 28, 28, 3)
    assert x["image_mask"].tolist() == [1, 1]


def test_without_an_image_converter(tiny_tokenizer, examples):
    preprocessor = PaliGemmaCausalLMPreprocessor(
        tiny_tokenizer, sequence_length=LENGTH
    )
    images = np.linspace(-1, 1, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    for value in (images, list(images), keras.ops.convert_to_tensor(images)):
        x = preprocessor({**examples, "images": value})[0]
        assert x["images"].dtype == np.float32
        np.testing.assert_allclose(x["images"], images, rtol=1e-6)
    with pytest.raises(ValueError, match="image_converter=None.*str"):
        preprocessor({**examples, "images": ["a.png", "b.png"]})
    with pytest.raises(ValueError, match="one shape"):
        preprocessor({**examples, "images": [images[0], images[1][:2]]})


def test_truncation_is_counted_and_said_once(preprocessor, examples):
    examples["responses"] = ["A cat " * 20, "Ein Sofa"]
    with pytest.warns(UserWarning, match=f"sequence_length={LENGTH}"):
        x, y, sample_weight = preprocessor(examples)
    # EOS is there, as the label of the last position at the latest.
    assert (y[0] == 1).sum() == 1
    assert sample_weight[0, y[0] == 1] == 1.0
    assert preprocessor.truncated_responses == 1
    assert preprocessor.truncated_prompts == 0
    preprocessor(examples)
    assert preprocessor.truncated_responses == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": ["caption en", 3]}, "`prompts`.*type=int"),
        ({"responses": [None, "a"]}, "`responses`.*type=NoneType"),
        ({"prompts": ["caption en"]}, "1 prompts and 2 responses"),
        ({"responses": ["A cat"] * 3}, "2 prompts and 3 responses"),
        ({"images": ["a.png"]}, "1 images and 2 prompts"),
        ({"images": [[], []]}, "At least one image"),
        ({"images": None}, r"without \['images'\]"),
        ({"prompts": [], "responses": []}, "at least one"),
    ],
)
def test_bad_inputs_are_refused(preprocessor, examples, change, message):
    with pytest.raises(ValueError, match=message):
        preprocessor({**examples, **change})


@pytest.mark.parametrize(
    "options", [{"sequence_length": 8}, {"add_bos": True}, {"add_eos": True}]
)
def test_a_tokenizer_that_packs_is_refused(tiny_proto, options):
    tokenizer = PaliGemmaTokenizer(tiny_proto, **options)
    with pytest.raises(ValueError, match=next(iter(options))):
        PaliGemmaCausalLMPreprocessor(tokenizer)


def test_labels_are_refused(preprocessor, examples):
    with pytest.raises(ValueError, match="made from the responses"):
        preprocessor(examples, np.zeros(2))
    with pytest.raises(ValueError, match="must be a dict"):
        preprocessor(["caption en"])


def test_missing_and_broken_files_are_named(preprocessor, examples, tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(examples["images"][0]).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cut.jpg"):
        preprocessor({**examples, "images": [path, path]})
    with pytest.raises(FileNotFoundError, match="nowhere.jpg"):
        preprocessor({**examples, "images": ["nowhere.jpg"] * 2})


def test_config_round_trip(preprocessor, examples, tmp_path):
    preprocessor.sequence_length = 17
    config = keras.saving.serialize_keras_object(preprocessor)
    assert (
        config["registered_name"]
        == "keras_paligemma>PaliGemmaCausalLMPreprocessor"
    )
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == preprocessor.get_config()
    assert restored.sequence_length == 17
    assert restored.image_size == (28, 28)
    # The vocabulary is an asset: `from_preset` loads it afterwards.
    preprocessor.save_to_preset(str(tmp_path))
    restored.load_preset_assets(str(tmp_path))
    keras.tree.map_structure(
        np.testing.assert_array_equal,
        restored(examples),
        preprocessor(examples),
    )
