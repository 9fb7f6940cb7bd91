"""Opens a checkpoint of any known format."""

import collections
import dataclasses
import json
import os
from collections.abc import Mapping

from keras_paligemma.checkpoints.arrays import FLOAT_DTYPES
from keras_paligemma.checkpoints.big_vision_reader import read_big_vision
from keras_paligemma.checkpoints.handles import resolve_handle
from keras_paligemma.checkpoints.keras_hub_reader import read_keras_hub
from keras_paligemma.checkpoints.transformers_reader import read_transformers

OWN_PACKAGE = "keras_paligemma>"
KERAS_HUB_PACKAGE = "keras_hub>"

# What else a checkpoint may hold: a name, and where the file may lie.
ASSETS = {
    "tokenizer_model": (
        "tokenizer.model",
        "assets/tokenizer/vocabulary.spm",
        "vocabulary.spm",
        "paligemma_tokenizer.model",
    ),
    "tokenizer_json": ("tokenizer.json",),
    "tokenizer_config": ("tokenizer_config.json",),
    "preprocessor_config": ("preprocessor_config.json",),
    "generation_config": ("generation_config.json",),
    "keras_tokenizer": ("tokenizer.json",),
    "keras_preprocessor": ("preprocessor.json",),
    "keras_image_converter": ("image_converter.json",),
    "keras_task": ("task.json",),
}
# Keras and Transformers both write `tokenizer.json` and mean two things.
KERAS_ASSETS = (
    "tokenizer_model",
    "keras_tokenizer",
    "keras_preprocessor",
    "keras_image_converter",
    "keras_task",
)
OTHER_ASSETS = (
    "tokenizer_model",
    "tokenizer_json",
    "tokenizer_config",
    "preprocessor_config",
    "generation_config",
)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been looked at, and not yet read.

    Args:
        path: str. The local directory or file.
        format: str. `"transformers"`, `"big_vision"`, `"keras_hub"`, or
            `"keras"` for a preset of this package.
        arguments: dict. Constructor arguments of the backbone.
        arrays: mapping of path to `LazyArray`, complete and of the right
            shapes; `None` for `"keras"`, which Keras loads by itself.
        dtype: str. The float type that most of the weights are stored in.
        assets: dict of name to path: tokenizer, preprocessor and other files
            that lie beside the weights.
    """

    path: str
    format: str
    arguments: Mapping
    arrays: Mapping | None
    dtype: str
    assets: Mapping


def open_checkpoint(handle):
    """Opens a checkpoint: looks at all of it, reads none of its weights.

    Args:
        handle: str or path. A name of a published preset, `hf://owner/name`,
            `kaggle://...`, or a local directory or `.npz` file.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: if there is no such checkpoint, if it is of another
            model, or if it is damaged or incomplete.

    Example:

    ```python
    checkpoint = keras_paligemma.checkpoints.open_checkpoint("/models/pali")
    checkpoint.arguments["image_size"]                 # 224
    checkpoint.arrays["projector/kernel"].shape        # (2048, 1152)
    checkpoint.arrays["projector/kernel"].read()       # an array
    ```
    """
    path = resolve_handle(handle)
    kind, path = detect_format(path)
    if kind == "keras":
        return _own_preset(path)
    read = {
        "transformers": read_transformers,
        "big_vision": read_big_vision,
        "keras_hub": read_keras_hub,
    }[kind]
    arguments, arrays = read(path)
    return Checkpoint(
        path=path,
        format=kind,
        arguments=arguments,
        arrays=arrays,
        dtype=stored_dtype(arrays),
        assets=find_assets(path, kind),
    )


def detect_format(path):
    """Tells the format of a checkpoint.

    Args:
        path: str. A local directory or file.

    Returns:
        A pair of the format and the path, which for a directory that holds
        one `.npz` is that file.

    Raises:
        ValueError: if it is no checkpoint of a known format.
    """
    if os.path.isfile(path) and path.endswith(".npz"):
        return "big_vision", path
    if os.path.isdir(path):
        config_path = os.path.join(path, "config.json")
        if os.path.exists(config_path):
            return _config_format(config_path), path
        names = [name for name in os.listdir(path) if name.endswith(".npz")]
        if len(names) == 1:
            return "big_vision", os.path.join(path, names[0])
    raise ValueError(
        "Expected a directory with a `config.json` (a Keras preset or a "
        "Transformers checkpoint), a big_vision `.npz` file, or a directory "
        f"with exactly one. Received: {path}"
    )


def find_assets(path, kind):
    """The files beside the weights, as a dict of name to path."""
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    names = KERAS_ASSETS if kind.startswith("keras") else OTHER_ASSETS
    found = {}
    for name in names:
        for place in ASSETS[name]:
            candidate = os.path.join(directory, *place.split("/"))
            if os.path.isfile(candidate):
                found.setdefault(name, candidate)
    return found


def stored_dtype(arrays):
    """The name of the float type in which most of the values are stored."""
    counts = collections.Counter()
    for array in arrays.values():
        counts[array.dtype] += array.size
    for dtype, _ in counts.most_common():
        for name, known in FLOAT_DTYPES.items():
            if dtype == known:
                return name
    raise ValueError(
        f"Expected weights of a float type, one of {list(FLOAT_DTYPES)}. "
        f"Received: {sorted(str(dtype) for dtype in counts)}"
    )


def _config_format(config_path):
    config = _read_json(config_path)
    registered = str(config.get("registered_name") or "")
    if registered.startswith(OWN_PACKAGE):
        return "keras"
    if registered.startswith(KERAS_HUB_PACKAGE):
        return "keras_hub"
    if "model_type" in config:
        return "transformers"
    raise ValueError(
        f"{config_path}: expected a `registered_name` of "
        f"`{OWN_PACKAGE}...` or `{KERAS_HUB_PACKAGE}...`, or a `model_type` "
        f"of Transformers. Received: registered_name={registered!r} and no "
        "model_type"
    )


def _own_preset(path):
    config = dict(_read_json(os.path.join(path, "config.json"))["config"])
    dtype = config.get("dtype")
    while isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    dtype = str(dtype or "float32").split("_from_")[-1]
    return Checkpoint(
        path=path,
        format="keras",
        arguments=config,
        arrays=None,
        # A mixed policy computes in the type it names and stores float32.
        dtype="float32" if dtype.startswith("mixed_") else dtype,
        assets=find_assets(path, "keras"),
    )


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON. Received: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(
            f"{path} must hold a JSON object. Received: {type(value).__name__}"
        )
    return value
