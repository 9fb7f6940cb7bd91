"""Opens directories of Transformers: PaliGemma, and its two halves."""

import os

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import transformers
from keras_paligemma.checkpoints import transformers_config
from keras_paligemma.checkpoints.safetensors_reader import (
    read_safetensors_directory,
)
from keras_paligemma.checkpoints.table import expand

# The keys of the components that a reader of one half leaves aside.
PART_KEYS = {
    "image_encoder": (
        r"vision\..*",
        *transformers.IGNORED_BESIDE_IMAGE_ENCODER,
    ),
    "projector": (r"projector\..*",),
    "decoder": (r"text\..*",),
}


def read_transformers(directory, components=tuple(canonical.COMPONENTS)):
    """Describes a Transformers directory.

    Args:
        directory: path of a directory with `config.json` and safetensors.
        components: tuple of str. Which components of the backbone to look
            for; the image encoder alone may also come from a SigLIP
            checkpoint, embedding and decoder also from a Gemma checkpoint.

    Returns:
        A pair of constructor arguments and a dict of path to `LazyArray`.

    Raises:
        ValueError: if the checkpoint is of another model, damaged, or does
            not fit its own config.
    """
    config = transformers_config.read_config(directory)
    origin = os.path.join(os.fspath(directory), "config.json")
    arguments = _arguments(config, components, origin)
    arrays = transformers.normalise_keys(read_safetensors_directory(directory))
    if "embedding" in components:
        arrays = transformers.tie_embeddings(
            arrays, arguments["vocabulary_size"]
        )
    ignored = list(transformers.IGNORED)
    for component, patterns in PART_KEYS.items():
        if component not in components:
            ignored.extend(patterns)
    if components == ("image_encoder",):
        ignored.extend(transformers.IGNORED_BESIDE_IMAGE_ENCODER)
    found = expand(
        transformers.table(arguments),
        arrays,
        arguments,
        components,
        ignored,
        os.fspath(directory),
    )
    return arguments, found


def _arguments(config, components, origin):
    kind = config.get("model_type")
    names = set(canonical.IMAGE_ENCODER_ARGUMENTS)
    if components == ("image_encoder",):
        if kind in ("siglip", "siglip_vision_model"):
            part = config.get("vision_config") if kind == "siglip" else config
            part = {"model_type": "siglip_vision_model", **(part or {})}
            return transformers_config.image_encoder_arguments(part, origin)
    elif "image_encoder" not in components:
        names = set(canonical.DECODER_ARGUMENTS)
        if kind in transformers_config.DECODER_DEFAULTS:
            return transformers_config.decoder_arguments(config, origin)
    else:
        names |= set(canonical.DECODER_ARGUMENTS)
    arguments = transformers_config.paligemma_arguments(config, origin)
    return {name: value for name, value in arguments.items() if name in names}
