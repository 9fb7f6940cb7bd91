"""From the `config.json` of Transformers to constructor arguments.

A `config.json` holds only what differs from the defaults of its classes, so
those defaults are written down here.
"""

import json
import os

from keras_paligemma.checkpoints.canonical import intermediate_dim_of

GEMMA = {
    "vocab_size": 256000,
    "hidden_size": 3072,
    "intermediate_size": 24576,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 256,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
}
GEMMA2 = {
    "vocab_size": 256000,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
}
SIGLIP_VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 16,
    "layer_norm_eps": 1e-6,
}
PALIGEMMA = {"image_token_index": 256000}

# What PaliGemmaConfig takes when a whole part is left out. A part that is
# there, even if empty, starts from the defaults of its own class instead.
PALIGEMMA_TEXT = {
    "model_type": "gemma",
    "hidden_size": 2048,
    "num_hidden_layers": 18,
    "intermediate_size": 16384,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "vocab_size": 257152,
}
PALIGEMMA_VISION = {
    "model_type": "siglip_vision_model",
    "intermediate_size": 4096,
    "hidden_size": 1152,
    "patch_size": 14,
    "image_size": 224,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}

DECODER_DEFAULTS = {"gemma": GEMMA, "gemma2": GEMMA2}
VISION_TYPES = ("siglip_vision_model",)

# Fixed in SigLIP's and Gemma's published maths; another value is another
# model.
LAYER_NORM_EPSILON = 1e-6
ROPE_THETA = 10000.0
# Old Gemma configs say "gelu" and mean the tanh approximation.
ACTIVATIONS = ("gelu_pytorch_tanh", "gelu")


def read_config(directory):
    """Reads the `config.json` of a directory.

    Args:
        directory: path of a directory.

    Returns:
        A dict.

    Raises:
        ValueError: if it is no JSON object.
    """
    path = os.path.join(directory, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON. Received: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(
            f"{path} must hold a JSON object. Received: {type(config).__name__}"
        )
    return config


def paligemma_arguments(config, origin):
    """Constructor arguments of the backbone for a PaliGemma config.

    Args:
        config: dict. The `config.json`.
        origin: str. Where it came from, for errors.

    Returns:
        A dict of constructor arguments.

    Raises:
        ValueError: if the config is of another model, or says something that
            PaliGemma does not do.
    """
    _expect_type(config, ("paligemma",), origin)
    text = config.get("text_config")
    vision = config.get("vision_config")
    text = dict(PALIGEMMA_TEXT if text is None else text)
    vision = dict(PALIGEMMA_VISION if vision is None else vision)
    text.setdefault("model_type", "gemma")
    vision.setdefault("model_type", "siglip_vision_model")
    arguments = image_encoder_arguments(vision, f"{origin}: vision_config")
    arguments.update(decoder_arguments(text, f"{origin}: text_config"))
    # Embedding rows from here on belong to Transformers' own tokens.
    arguments["vocabulary_size"] = config.get(
        "image_token_index",
        config.get("image_token_id", PALIGEMMA["image_token_index"]),
    )
    return arguments


def image_encoder_arguments(config, origin):
    """Constructor arguments for a config of SigLIP's image encoder."""
    _expect_type(config, VISION_TYPES, origin)
    values = {**SIGLIP_VISION, **config}
    _expect(values, "num_channels", 3, origin)
    _expect(values, "layer_norm_eps", LAYER_NORM_EPSILON, origin)
    _check_activation(values, "hidden_act", ACTIVATIONS[:1], origin)
    return {
        "image_size": _square(values, "image_size", origin),
        "vit_patch_size": _square(values, "patch_size", origin),
        "vit_num_heads": values["num_attention_heads"],
        "vit_hidden_dim": values["hidden_size"],
        "vit_num_layers": values["num_hidden_layers"],
        "vit_intermediate_dim": values["intermediate_size"],
    }


def decoder_arguments(config, origin):
    """Constructor arguments for a config of Gemma or Gemma 2."""
    _expect_type(config, tuple(DECODER_DEFAULTS), origin)
    is_gemma2 = config["model_type"] == "gemma2"
    values = {**DECODER_DEFAULTS[config["model_type"]], **config}
    _expect(values, "attention_bias", False, origin)
    _check_rope(values, origin)
    _check_activation(
        values,
        "hidden_activation" if is_gemma2 else "hidden_act",
        ACTIVATIONS,
        origin,
    )
    return {
        "vocabulary_size": values["vocab_size"],
        "num_layers": values["num_hidden_layers"],
        "num_query_heads": values["num_attention_heads"],
        "num_key_value_heads": values["num_key_value_heads"],
        "hidden_dim": values["hidden_size"],
        "intermediate_dim": intermediate_dim_of(values["intermediate_size"]),
        "head_dim": values["head_dim"],
        "query_head_dim_normalize": (
            _scales_by_head_dim(values, origin) if is_gemma2 else True
        ),
        "use_post_ffw_norm": is_gemma2,
        "use_post_attention_norm": is_gemma2,
        "attention_logit_soft_cap": values.get("attn_logit_softcapping")
        if is_gemma2
        else None,
        "final_logit_soft_cap": values.get("final_logit_softcapping")
        if is_gemma2
        else None,
        "use_sliding_window_attention": False,
        "sliding_window_size": values.get("sliding_window") or 4096,
        "layer_norm_epsilon": values["rms_norm_eps"],
        "dropout": 0.0,
    }


def _scales_by_head_dim(values, origin):
    scalar = values["query_pre_attn_scalar"]
    per_head = values["hidden_size"] // values["num_attention_heads"]
    if scalar == values["head_dim"]:
        return True
    if scalar == per_head:
        return False
    raise ValueError(
        f"{origin}: expected query_pre_attn_scalar to be head_dim "
        f"({values['head_dim']}) or hidden_size / num_attention_heads "
        f"({per_head}). Received: query_pre_attn_scalar={scalar}"
    )


def _check_rope(values, origin):
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    theta = rope.get("rope_theta", values.get("rope_theta", ROPE_THETA))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if theta != ROPE_THETA or kind != "default":
        raise ValueError(
            f"{origin}: expected rotary positions of the type 'default' with "
            f"rope_theta={ROPE_THETA}. Received: rope_type={kind}, "
            f"rope_theta={theta}"
        )


def _check_activation(values, name, allowed, origin):
    activation = values.get(name) or allowed[0]
    if activation not in allowed:
        raise ValueError(
            f"{origin}: expected {name} to be one of {allowed}. "
            f"Received: {name}={activation}"
        )


def _expect_type(config, expected, origin):
    if config.get("model_type") not in expected:
        raise ValueError(
            f"{origin}: expected model_type to be one of {expected}; this is "
            "a checkpoint of another model. Received: "
            f"model_type={config.get('model_type')!r}"
        )


def _expect(values, name, expected, origin):
    if values[name] != expected:
        raise ValueError(
            f"{origin}: expected {name}={expected}, which is what the model "
            f"computes. Received: {name}={values[name]}"
        )


def _square(values, name, origin):
    value = values[name]
    if isinstance(value, (list, tuple)):
        if len(set(value)) != 1:
            raise ValueError(
                f"{origin}: expected a square. Received: {name}={value}"
            )
        value = value[0]
    return int(value)
