"""Opens the halves a PaliGemma is assembled from: SigLIP and Gemma."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Mapping

from keras_paligemma.checkpoints.big_vision_reader import read_big_vision
from keras_paligemma.checkpoints.checkpoint import detect_format
from keras_paligemma.checkpoints.checkpoint import find_assets
from keras_paligemma.checkpoints.checkpoint import stored_dtype
from keras_paligemma.checkpoints.handles import resolve_handle
from keras_paligemma.checkpoints.keras_hub_reader import read_keras_hub
from keras_paligemma.checkpoints.transformers_reader import read_transformers

READERS = {
    "transformers": read_transformers,
    "big_vision": read_big_vision,
    "keras_hub": read_keras_hub,
}


@dataclasses.dataclass(frozen=True)
class PartOfCheckpoint:
    """One half of a model that has been looked at, and not yet read.

    Args:
        path: str. The local directory or file.
        format: str. `"transformers"`, `"big_vision"` or `"keras_hub"`.
        arguments: dict. The constructor arguments of the backbone that this
            half decides.
        arrays: mapping of path to `LazyArray`, complete for this half.
        dtype: str. The float type that most of the weights are stored in.
        assets: dict of name to path: the tokenizer and other files.
        has_location_tokens: bool. Whether it is half of a PaliGemma, whose
            vocabulary ends in the location and segmentation tokens.
    """

    path: str
    format: str
    arguments: Mapping
    arrays: Mapping
    dtype: str
    assets: Mapping
    has_location_tokens: bool


def open_image_encoder(handle):
    """Opens the image encoder of a SigLIP, or of a PaliGemma.

    Args:
        handle: str or path. A handle as for `open_checkpoint`: a Transformers
            directory of a `SiglipModel` or `SiglipVisionModel`, a preset of
            Keras-Hub's `SigLIPBackbone`, a big_vision `.npz`, or any
            PaliGemma in one of these formats.

    Returns:
        A `PartOfCheckpoint` with the arrays of `image_encoder/`.

    Raises:
        ValueError: if the checkpoint is damaged or of another model.

    Example:

    ```python
    part = open_image_encoder("hf://google/siglip-so400m-patch14-224")
    part.arguments["vit_num_layers"]    # 27
    ```
    """
    return _open(handle, ("image_encoder",))


def open_decoder(handle):
    """Opens embedding and decoder of a Gemma or Gemma 2, or of a PaliGemma.

    Args:
        handle: str or path. A handle as for `open_checkpoint`: a Transformers
            directory of a `GemmaForCausalLM` or `Gemma2ForCausalLM`, a preset
            of Keras-Hub's `GemmaBackbone`, an `.npz` in big_vision's names,
            or any PaliGemma in one of these formats.

    Returns:
        A `PartOfCheckpoint` with the arrays of `embedding/` and `decoder/`.

    Raises:
        ValueError: if the checkpoint is damaged or of another model.

    Example:

    ```python
    part = open_decoder("hf://google/gemma-2b")
    part.arrays["embedding/embeddings"].shape    # (256000, 2048)
    ```
    """
    return _open(handle, ("embedding", "decoder"))


def _open(handle, components):
    kind, path = detect_format(resolve_handle(handle))
    if kind not in READERS:
        raise ValueError(
            "A preset of this package is loaded by Keras as a whole; hand "
            "over the part of the loaded model instead. "
            f"Received: handle={handle!r}"
        )
    arguments, arrays = READERS[kind](path, components)
    return PartOfCheckpoint(
        path=path,
        format=kind,
        arguments=arguments,
        arrays=arrays,
        dtype=stored_dtype(arrays),
        assets=find_assets(path, kind),
        has_location_tokens=_is_paligemma(kind, path),
    )


def _is_paligemma(kind, path):
    if kind == "big_vision":
        with zipfile.ZipFile(path) as members:
            names = members.namelist()
        return any(name.endswith("img/head/kernel.npy") for name in names)
    with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    if kind == "transformers":
        return config.get("model_type") == "paligemma"
    return str(config["registered_name"]).endswith(">PaliGemmaBackbone")
