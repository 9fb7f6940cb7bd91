"""Opens presets that Keras-Hub saved."""

import json
import os

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import keras_hub
from keras_paligemma.checkpoints.h5_reader import read_h5_directory
from keras_paligemma.checkpoints.table import expand

REGISTERED = "keras_hub>"
PALIGEMMA = "PaliGemmaBackbone"
GEMMA = "GemmaBackbone"
SIGLIP = "SigLIPBackbone"

# Settings of Keras-Hub's image encoder that would make it another model.
UNUSED_ARGUMENTS = ("vit_pooling", "vit_classifier_activation")
LINEAR = (None, "linear")


def read_keras_hub(directory, components=tuple(canonical.COMPONENTS)):
    """Describes a preset directory of Keras-Hub.

    Args:
        directory: path of a directory with `config.json` and weights.
        components: tuple of str. Which components of the backbone to look
            for; the image encoder alone may also come from a `SigLIPBackbone`,
            embedding and decoder also from a `GemmaBackbone`.

    Returns:
        A pair of constructor arguments and a dict of path to `LazyArray`.

    Raises:
        ValueError: if the preset is of another model, damaged, or does not
            fit its own config.
    """
    config_path = os.path.join(os.fspath(directory), "config.json")
    backbone, config = _read_config(config_path)
    arguments = _arguments(backbone, config, components, config_path)
    ignored = [*keras_hub.IGNORED, *keras_hub.IGNORED_BESIDE_IMAGE_ENCODER]
    for component, patterns in keras_hub.PART_KEYS.items():
        if component not in components:
            ignored.extend(patterns)
    found = expand(
        keras_hub.table(backbone),
        keras_hub.normalise_keys(read_h5_directory(directory)),
        arguments,
        components,
        ignored,
        os.fspath(directory),
    )
    return arguments, found


def _read_config(path):
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        name = str(config["registered_name"]).removeprefix(REGISTERED)
        return name, dict(config["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged: expected JSON with `registered_name` and "
            f"`config`. Received: {error!r}"
        ) from error


def _arguments(backbone, config, components, path):
    if backbone == PALIGEMMA:
        _check_image_encoder(config, path)
        names = ()
        if "image_encoder" in components:
            names += canonical.IMAGE_ENCODER_ARGUMENTS
        if "decoder" in components:
            names += canonical.DECODER_ARGUMENTS
        # Presets from before this argument was saved have the size of
        # SigLIP So400m.
        config = {"vit_intermediate_dim": 4304, **config}
        return _pick(config, names, path)
    if backbone == GEMMA and "image_encoder" not in components:
        return _pick(config, canonical.DECODER_ARGUMENTS, path)
    if backbone == SIGLIP and components == ("image_encoder",):
        return _siglip_arguments(config["vision_encoder"]["config"], path)
    raise ValueError(
        f"{path}: expected a preset of {PALIGEMMA}, or of {SIGLIP} or {GEMMA} "
        "for one half of the model. Received: "
        f"registered_name={REGISTERED}{backbone}"
    )


def _pick(config, names, path):
    defaults = {
        "query_head_dim_normalize": True,
        "use_post_ffw_norm": False,
        "use_post_attention_norm": False,
        "attention_logit_soft_cap": None,
        "final_logit_soft_cap": None,
        "use_sliding_window_attention": False,
        "sliding_window_size": 4096,
        "layer_norm_epsilon": 1e-6,
        "dropout": 0,
    }
    values = {**defaults, **config}
    missing = [name for name in names if name not in values]
    if missing:
        raise ValueError(f"{path}: the config lacks {missing}.")
    arguments = {name: values[name] for name in names}
    if "intermediate_dim" in arguments:
        # Keras-Hub counts the gate and the up projection together.
        arguments["intermediate_dim"] = canonical.intermediate_dim_of(
            values["intermediate_dim"] // 2
        )
    return arguments


def _check_image_encoder(config, path):
    for name in UNUSED_ARGUMENTS:
        if config.get(name) not in LINEAR:
            raise ValueError(
                f"{path}: expected {name}=None, since every patch becomes a "
                f"token. Received: {name}={config[name]!r}"
            )


def _siglip_arguments(config, path):
    height, width, channels = config["image_shape"]
    epsilon = config["layer_norm_epsilon"]
    activation = config["intermediate_activation"]
    if (
        height != width
        or channels != 3
        or epsilon != 1e-6
        or activation != "gelu_approximate"
    ):
        raise ValueError(
            f"{path}: expected a square image of 3 channels, "
            "layer_norm_epsilon=1e-6 and intermediate_activation="
            f"'gelu_approximate'. Received: image_shape={(height, width)}, "
            f"channels={channels}, layer_norm_epsilon={epsilon}, "
            f"intermediate_activation={activation!r}"
        )
    return {
        "image_size": height,
        "vit_patch_size": config["patch_size"],
        "vit_num_heads": config["num_heads"],
        "vit_hidden_dim": config["hidden_dim"],
        "vit_num_layers": config["num_layers"],
        "vit_intermediate_dim": config["intermediate_dim"],
    }
