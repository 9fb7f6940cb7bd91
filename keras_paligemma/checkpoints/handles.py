"""From a handle, what the user says, to a local directory or file."""

import difflib
import os
import re

import keras_hub

from keras_paligemma.checkpoints.published import published_name
from keras_paligemma.checkpoints.shipped import shipped_presets

HUGGING_FACE = "hf://"
KAGGLE = "kaggle://"

# Only what is needed to build the model: no code, no PyTorch pickles.
DOWNLOAD_PATTERNS = (
    "*.json",
    "*.safetensors",
    "*.model",
    "*.spm",
    "*.h5",
    "*.npz",
)

MEANING = (
    "A handle is the name of a preset, shipped or published, "
    "`hf://owner/name` or "
    "`hf://owner/name@revision`, `kaggle://owner/model/framework/variation`, "
    "or the path of a local directory or `.npz` file."
)


def resolve_handle(handle):
    """Finds or downloads a checkpoint.

    Args:
        handle: str or path. A name of a published preset, `hf://owner/name`
            (with `@revision` if wanted), `kaggle://...`, or a local path.

    Returns:
        str. The path of a local directory, or of an `.npz` file.

    Raises:
        ValueError: if there is no such preset, repository or path.
        ImportError: if the client of a hub is not installed.

    Example:

    ```python
    resolve_handle("pali_gemma_3b_mix_224")         # downloads from Kaggle
    resolve_handle("hf://google/paligemma-3b-pt-224@float16")
    resolve_handle("/models/paligemma")             # the same path
    ```
    """
    handle = os.fspath(handle)
    if not handle:
        raise ValueError(f"{MEANING} Received: handle={handle!r}")
    if handle.startswith(HUGGING_FACE):
        return _download_from_hugging_face(handle)
    if handle.startswith(KAGGLE):
        return _download_from_kaggle(handle)
    if os.path.exists(handle):
        return handle
    shipped = shipped_presets()
    if handle in shipped:
        return shipped[handle]
    presets = published_handles()
    name = published_name(handle) or handle
    if name in presets:
        return _download(presets[name])
    known = [*shipped, *presets]
    close = difflib.get_close_matches(handle, known, n=5, cutoff=0.5)
    hint = f" The closest names are {close}." if close else ""
    raise ValueError(
        f"No preset has this name, and no such path exists. {MEANING}{hint} "
        f"Received: handle={handle!r}"
    )


def published_handles():
    """The published presets, as a dict of name to hub handle.

    They are Keras-Hub's, of PaliGemma and of its two halves.
    """
    classes = (
        keras_hub.models.PaliGemmaBackbone,
        keras_hub.models.GemmaBackbone,
        keras_hub.models.SigLIPBackbone,
    )
    handles = {}
    for backbone in classes:
        for name, entry in backbone.presets.items():
            place = entry.get("kaggle_handle") or entry.get("hf_handle")
            if place:
                handles[name] = place
    return handles


def _download(handle):
    if handle.startswith(HUGGING_FACE):
        return _download_from_hugging_face(handle)
    return _download_from_kaggle(handle)


def _download_from_hugging_face(handle):
    name = handle.removeprefix(HUGGING_FACE)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name):
        raise ValueError(
            "Expected `hf://owner/name` or `hf://owner/name@revision`. "
            f"Received: handle={handle!r}"
        )
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"Downloading {handle} needs the client of the Hugging Face hub: "
            "`pip install huggingface_hub`."
        ) from error
    repository, _, revision = name.partition("@")
    errors = huggingface_hub.errors
    try:
        return huggingface_hub.snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(DOWNLOAD_PATTERNS),
        )
    except errors.GatedRepoError as error:
        raise ValueError(
            f"{handle} asks to accept its licence: do so on its page, then "
            f"log in with `hf auth login`. The hub says: {error}"
        ) from error
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
    ) as error:
        raise ValueError(
            "The Hugging Face hub has no such repository or revision, or it "
            "is private: then log in with `hf auth login`. "
            f"Received: handle={handle!r}. The hub says: {error}"
        ) from error


def _download_from_kaggle(handle):
    name = handle.removeprefix(KAGGLE)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+){3}(/\d+)?", name):
        raise ValueError(
            "Expected `kaggle://owner/model/framework/variation`, with "
            f"`/version` if wanted. Received: handle={handle!r}"
        )
    try:
        import kagglehub
    except ImportError as error:
        raise ImportError(
            f"Downloading {handle} needs the client of Kaggle: "
            "`pip install kagglehub`."
        ) from error
    try:
        return kagglehub.model_download(name)
    except kagglehub.exceptions.KaggleApiHTTPError as error:
        raise ValueError(
            "Kaggle does not hand out this model. It may not exist, or ask "
            "to accept its licence on its page and to log in "
            f"(`kagglehub.login()`). Received: handle={handle!r}. Kaggle "
            f"says: {error}"
        ) from error
