import copy

import pytest

from keras_paligemma.checkpoints import transformers_config as ours
from tests.checkpoints.writers import text_config
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import vision_config


def test_defaults_are_those_of_the_published_classes():
    import transformers

    classes = [
        (ours.GEMMA, transformers.GemmaConfig()),
        (ours.GEMMA2, transformers.Gemma2Config()),
        (ours.SIGLIP_VISION, transformers.SiglipVisionConfig()),
        (ours.PALIGEMMA, transformers.PaliGemmaConfig()),
        (ours.PALIGEMMA_TEXT, transformers.PaliGemmaConfig().text_config),
        (ours.PALIGEMMA_VISION, transformers.PaliGemmaConfig().vision_config),
    ]
    for defaults, config in classes:
        found = {name: getattr(config, name) for name in defaults}
        assert found == defaults


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"text_config": {}, "vision_config": {}},
        {"text_config": {"model_type": "gemma2"}},
        {"text_config": {"hidden_size": 64}, "image_token_index": 99},
        {"vision_config": {"patch_size": 14}, "image_token_id": 77},
    ],
)
def test_a_sparse_config_means_what_transformers_makes_of_it(config):
    import transformers

    config = {"model_type": "paligemma", **config}
    full = transformers.PaliGemmaConfig.from_dict(copy.deepcopy(config))
    arguments = ours.paligemma_arguments(config, "here")
    text, vision = full.text_config, full.vision_config
    assert arguments["vocabulary_size"] == full.image_token_index
    expected = {
        "image_size": vision.image_size,
        "vit_patch_size": vision.patch_size,
        "vit_num_heads": vision.num_attention_heads,
        "vit_hidden_dim": vision.hidden_size,
        "vit_num_layers": vision.num_hidden_layers,
        "vit_intermediate_dim": vision.intermediate_size,
        "num_layers": text.num_hidden_layers,
        "num_query_heads": text.num_attention_heads,
        "num_key_value_heads": text.num_key_value_heads,
        "hidden_dim": text.hidden_size,
        "intermediate_dim": 2 * text.intermediate_size,
        "head_dim": text.head_dim,
        "use_post_ffw_norm": text.model_type == "gemma2",
    }
    assert {name: arguments[name] for name in expected} == expected


def test_published_paligemma_config():
    config = {
        "model_type": "paligemma",
        "image_token_index": 257152,
        "text_config": {
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "model_type": "gemma",
            "num_attention_heads": 8,
            "num_hidden_layers": 18,
            "num_image_tokens": 1024,
            "num_key_value_heads": 1,
            "vocab_size": 257216,
        },
        "vision_config": {
            "hidden_size": 1152,
            "image_size": 448,
            "intermediate_size": 4304,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 16,
            "num_hidden_layers": 27,
            "patch_size": 14,
        },
    }
    arguments = ours.paligemma_arguments(config, "here")
    # Not the number of image tokens, which is 1024 here.
    assert arguments["head_dim"] == 256
    assert arguments["vocabulary_size"] == 257152
    assert arguments["image_size"] == 448
    assert arguments["use_post_attention_norm"] is False
    assert arguments["final_logit_soft_cap"] is None


def test_gemma2_scale_caps_and_window():
    published_27b = {
        "model_type": "gemma2",
        "hidden_size": 4608,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "query_pre_attn_scalar": 144,
        "sliding_window": 1024,
        "final_logit_softcapping": None,
    }
    arguments = ours.decoder_arguments(published_27b, "here")
    assert arguments["query_head_dim_normalize"] is False
    assert arguments["attention_logit_soft_cap"] == 50.0
    assert arguments["final_logit_soft_cap"] is None
    assert arguments["use_sliding_window_attention"] is False
    assert arguments["sliding_window_size"] == 1024
    small = {**published_27b, "query_pre_attn_scalar": 128}
    assert ours.decoder_arguments(small, "x")["query_head_dim_normalize"]
    with pytest.raises(ValueError, match="query_pre_attn_scalar=100"):
        ours.decoder_arguments({**small, "query_pre_attn_scalar": 100}, "x")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (None, {"model_type": "llava"}, "model_type='llava'"),
        ("text_config", {"model_type": "llama"}, "model_type='llama'"),
        ("vision_config", {"model_type": "clip"}, "model_type='clip'"),
        ("vision_config", {"image_size": [8, 12]}, "image_size=\\[8, 12\\]"),
        ("vision_config", {"hidden_act": "gelu"}, "hidden_act=gelu"),
        ("vision_config", {"num_channels": 4}, "num_channels=4"),
        ("text_config", {"attention_bias": True}, "attention_bias=True"),
        ("text_config", {"hidden_act": "silu"}, "hidden_act=silu"),
        ("text_config", {"rope_theta": 5.0}, "rope_theta=5.0"),
        (
            "text_config",
            {"rope_scaling": {"type": "linear", "factor": 2}},
            "rope_type=linear",
        ),
    ],
)
def test_what_the_model_does_not_do_is_refused(part, change, message):
    arguments = tiny_arguments(1)
    config = {
        "model_type": "paligemma",
        "text_config": text_config(arguments),
        "vision_config": vision_config(arguments),
    }
    target = config[part] if part else config
    target.update(change)
    with pytest.raises(ValueError, match=message) as error:
        ours.paligemma_arguments(config, "dir/config.json")
    assert "dir/config.json" in str(error.value)
