"""The backbone: its config, its paths, and the attention's properties."""

import keras
import numpy as np
import pytest

import keras_paligemma
from keras_paligemma.models import COMPONENTS
from tests.models import tiny_models
from tests.models.tiny_models import ARGUMENTS
from tests.models.tiny_models import logits_of


@pytest.fixture(scope="module")
def examples(prompts):
    """The prompts, their last tokens a response, and random padding."""
    inputs = {key: value.copy() for key, value in prompts.items()}
    lengths = np.array(tiny_models.PROMPT_LENGTHS) + 4
    columns = np.arange(tiny_models.LENGTH)
    inputs["padding_mask"] = (columns < lengths[:, None]).astype("int32")
    inputs["response_mask"] = (
        (columns >= lengths[:, None] - 4) & (columns < lengths[:, None])
    ).astype("int32")
    generator = np.random.default_rng(2)
    tokens = generator.integers(5, 300, inputs["token_ids"].shape)
    return {**inputs, "token_ids": tokens.astype("int32")}


def changed(inputs, **changes):
    return {**{k: v.copy() for k, v in inputs.items()}, **changes}


def test_config_round_trip():
    options = {
        "query_head_dim_normalize": False,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "attention_logit_soft_cap": 50.0,
        "final_logit_soft_cap": 30.0,
        "use_sliding_window_attention": True,
        "sliding_window_size": 7,
        "layer_norm_epsilon": 1e-5,
        "dropout": 0.1,
        "remat": True,
    }
    backbone = keras_paligemma.PaliGemmaBackbone(
        **ARGUMENTS, **options, dtype="bfloat16", name="mine"
    )
    config = backbone.get_config()
    assert {**ARGUMENTS, **options}.items() <= config.items()
    copy = keras_paligemma.PaliGemmaBackbone.from_config(config)
    assert copy.get_config() == config
    assert copy.dtype_policy.name == "bfloat16" and copy.name == "mine"
    assert [w.path for w in copy.weights] == [w.path for w in backbone.weights]


def test_every_weight_belongs_to_a_component(backbone):
    paths = list(backbone.variables_by_path())
    assert len(set(paths)) == len(backbone.weights)
    assert {path.split("/")[0] for path in paths} == set(COMPONENTS)


def test_shapes_and_shape_inference(backbone, prompts):
    assert backbone.image_sequence_length == 4
    assert backbone(prompts).shape == (3, 14, 32)
    symbolic = {
        "images": keras.Input((28, 28, 3)),
        "token_ids": keras.Input((None,), dtype="int32"),
    }
    assert backbone(symbolic).shape == (None, None, 32)


def test_a_later_token_never_changes_an_earlier_logit(task, examples):
    before = logits_of(task, examples)
    for row, length in enumerate(tiny_models.PROMPT_LENGTHS):
        tokens = examples["token_ids"].copy()
        tokens[row, length + 2] = tokens[row, length + 2] % 200 + 7
        after = logits_of(task, changed(examples, token_ids=tokens))
        np.testing.assert_array_equal(
            after[row, : length + 2], before[row, : length + 2]
        )
        later = slice(length + 2, length + 4)
        assert (after[row, later] != before[row, later]).any(axis=-1).all()


def test_the_prefix_sees_itself_in_full(task, examples):
    before = logits_of(task, examples)
    tokens = examples["token_ids"].copy()
    tokens[1, 5] = tokens[1, 5] % 200 + 7
    after = logits_of(task, changed(examples, token_ids=tokens))
    assert (after[1, :10] != before[1, :10]).any(axis=-1).all()
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


def test_padding_changes_nothing(task, examples):
    valid = examples["padding_mask"] > 0
    before = logits_of(task, examples)[valid]
    tokens = np.where(valid, examples["token_ids"], 9)
    after = logits_of(task, changed(examples, token_ids=tokens))[valid]
    np.testing.assert_array_equal(after, before)
    padded = {
        key: np.pad(value, ((0, 0), (0, 5))) if "image" not in key else value
        for key, value in examples.items()
    }
    after = logits_of(task, padded)[:, : tiny_models.LENGTH][valid]
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_padding_in_the_middle_changes_nothing(task, examples):
    # What decoding does to align prompts: padding may stand anywhere.
    rolled = {
        key: value if "image" in key else np.roll(value, 3, axis=1)
        for key, value in examples.items()
    }
    rolled["padding_mask"][:, :3] = 0
    valid = (examples["padding_mask"] > 0)[:, :-3]
    np.testing.assert_allclose(
        logits_of(task, rolled)[:, 3:][valid],
        logits_of(task, examples)[:, :-3][valid],
        atol=1e-4,
    )


def test_missing_masks_mean_that_all_is_prefix(backbone, prompts):
    tokens = prompts["token_ids"] + 5
    bare = {"images": prompts["images"][:, 0], "token_ids": tokens}
    whole = {
        "images": prompts["images"][:, :1],
        "image_mask": np.ones((3, 1), "int32"),
        "token_ids": tokens,
        "padding_mask": np.ones_like(tokens),
        "response_mask": np.zeros_like(tokens),
    }
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(backbone(bare)),
        keras.ops.convert_to_numpy(backbone(whole)),
    )


@pytest.mark.parametrize(
    "changes, texts",
    [
        ({"num_query_heads": 3}, ("heads=3", "num_key_value_heads=2")),
        ({"image_size": 30}, ("image_size=30", "patch_size=14")),
        ({"vit_num_heads": 3}, ("vit_hidden_dim=16", "vit_num_heads=3")),
        ({"dropout": 1.5}, ("dropout=1.5",)),
    ],
)
def test_sizes_that_do_not_fit_are_named(changes, texts):
    with pytest.raises(ValueError) as error:
        keras_paligemma.PaliGemmaBackbone(**{**ARGUMENTS, **changes})
    assert all(text in str(error.value) for text in texts)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 14, 14, 3), "float32"),
        np.zeros((1, 2, 28, 14, 3), "float32"),
        np.zeros((1, 28, 28, 1), "float32"),
        np.zeros((28, 28, 3), "float32"),
        np.zeros((1, 1, 1, 28, 28, 3), "float32"),
    ],
)
def test_images_of_another_shape_are_refused(backbone, task, images):
    inputs = {"images": images, "token_ids": np.ones((1, 4), "int32")}
    for model in (backbone, task):
        with pytest.raises(ValueError) as error:
            model(inputs)
        assert str(images.shape) in str(error.value)
        assert "width 28" in str(error.value)


@pytest.mark.parametrize("key", ["images", "token_ids"])
def test_missing_inputs_are_named(backbone, prompts, key):
    inputs = {k: v for k, v in prompts.items() if k != key}
    with pytest.raises(ValueError, match=rf"Missing: \['{key}'\]"):
        backbone(inputs)
