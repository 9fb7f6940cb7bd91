"""Writes a directory that Transformers loads as a PaliGemma."""

import contextlib
import json
import os
import shutil
import tempfile

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import transformers
from keras_paligemma.checkpoints import transformers_config
from keras_paligemma.checkpoints.arrays import FLOAT_DTYPES
from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.safetensors_writer import parse_size
from keras_paligemma.checkpoints.safetensors_writer import (
    write_safetensors_directory,
)
from keras_paligemma.checkpoints.table import check_shapes
from keras_paligemma.checkpoints.table import invert
from keras_paligemma.checkpoints.tokenizer_json import num_pieces
from keras_paligemma.checkpoints.tokenizer_json import special_ids
from keras_paligemma.checkpoints.tokenizer_json import tokenizer_files

# The spelling of keys in the published checkpoints.
WRITTEN_SPELLING = {
    "text.": "language_model.model.",
    "vision.": "vision_tower.vision_model.",
    "projector.": "multi_modal_projector.",
}
EMBEDDING_KEY = "text.embed_tokens.weight"
EMBEDDING_ROWS_MULTIPLE = 64

# Pillow's numbers, which the image processor's config uses.
INTERPOLATIONS = {"nearest": 0, "bilinear": 2, "bicubic": 3}

DEFAULT_SPECIAL_IDS = {"bos": 2, "eos": 1, "pad": 0}


def write_transformers(
    directory,
    arguments,
    arrays,
    tokenizer_proto=None,
    image_options=None,
    dtype="bfloat16",
    max_shard_size="5GB",
):
    """Writes a PaliGemma in the format of Transformers.

    `PaliGemmaForConditionalGeneration.from_pretrained` and
    `AutoProcessor.from_pretrained` load the directory. It is written beside
    its place and moved there when complete. Arrays are read one at a time.

    Args:
        directory: path. Where to write; it must not exist, or be empty.
        arguments: dict. Constructor arguments of the backbone.
        arrays: mapping of path to `LazyArray`, array, or callable that
            returns an array: all variables of the backbone.
        tokenizer_proto: bytes or `None`. The SentencePiece model, with as
            many pieces as the vocabulary; `None` writes no tokenizer and no
            image processor.
        image_options: dict or `None`. `interpolation`, one of `"bilinear"`
            (default), `"bicubic"`, `"nearest"`.
        dtype: str. The float type to store.
        max_shard_size: str or int. A larger model is written as shards.

    Raises:
        FileExistsError: if the directory holds something already.
        ValueError: if Transformers has no such model, or arguments, arrays
            and tokenizer do not fit each other. Nothing is written then.

    Example:

    ```python
    checkpoint = open_checkpoint("paligemma-3b-pt-224.npz")
    write_transformers("out", checkpoint.arguments, checkpoint.arrays)
    ```
    """
    directory = os.path.abspath(os.fspath(directory))
    if os.path.exists(directory) and (
        not os.path.isdir(directory) or os.listdir(directory)
    ):
        raise FileExistsError(
            "Expected a new or an empty directory, so that nothing is "
            f"overwritten. Received: directory={directory}"
        )
    if dtype not in FLOAT_DTYPES:
        raise ValueError(
            f"Expected one of {list(FLOAT_DTYPES)}. Received: dtype={dtype!r}"
        )
    parse_size(max_shard_size)
    # Says what Transformers lacks before arrays are compared with a table.
    _text_config(arguments, arguments["vocabulary_size"])
    keys = _source_arrays(arguments, arrays)
    files = _config_files(
        arguments, keys, tokenizer_proto, image_options or {}, dtype
    )
    parent = os.path.dirname(directory)
    os.makedirs(parent, exist_ok=True)
    with _moved_when_complete(directory, parent) as temporary:
        for name, content in files.items():
            path = os.path.join(temporary, name)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2, ensure_ascii=False)
        if tokenizer_proto is not None:
            path = os.path.join(temporary, "tokenizer.model")
            with open(path, "wb") as file:
                file.write(tokenizer_proto)
        write_safetensors_directory(
            temporary,
            {_written_key(key): array for key, array in keys.items()},
            FLOAT_DTYPES[dtype],
            max_shard_size,
        )


def transformers_config_of(arguments, num_rows, special, dtype):
    """The `config.json` for the model that `arguments` describe.

    Args:
        arguments: dict. Constructor arguments of the backbone.
        num_rows: int. Rows of the embedding in the checkpoint.
        special: dict of `"bos"`, `"eos"`, `"pad"` to id.
        dtype: str. The stored float type.

    Returns:
        A dict.

    Raises:
        ValueError: if neither Gemma nor Gemma 2 computes this model.
    """
    text = _text_config(arguments, num_rows)
    known = canonical.sizes(arguments)
    token_ids = {f"{name}_token_id": index for name, index in special.items()}
    return {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "model_type": "paligemma",
        "dtype": dtype,
        **token_ids,
        "hidden_size": arguments["hidden_dim"],
        "projection_dim": arguments["hidden_dim"],
        "image_token_index": arguments["vocabulary_size"],
        "tie_word_embeddings": True,
        "text_config": {
            **text,
            **token_ids,
            "dtype": dtype,
            "num_image_tokens": known["num_patches"],
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "dtype": dtype,
            "hidden_size": known["vit_dim"],
            "intermediate_size": known["vit_mlp_dim"],
            "num_hidden_layers": known["image_encoder_layers"],
            "num_attention_heads": known["vit_heads"],
            "num_channels": 3,
            "image_size": arguments["image_size"],
            "patch_size": known["patch_size"],
            "num_image_tokens": known["num_patches"],
            "layer_norm_eps": transformers_config.LAYER_NORM_EPSILON,
            "hidden_act": "gelu_pytorch_tanh",
            "projection_dim": arguments["hidden_dim"],
            "vision_use_head": False,
        },
    }


def _text_config(arguments, num_rows):
    is_gemma2 = bool(arguments.get("use_post_attention_norm"))
    window = bool(arguments.get("use_sliding_window_attention"))
    caps = [
        arguments.get("attention_logit_soft_cap"),
        arguments.get("final_logit_soft_cap"),
    ]
    scaled_by_head = arguments.get("query_head_dim_normalize", True)
    per_head = arguments["hidden_dim"] // arguments["num_query_heads"]
    if bool(arguments.get("use_post_ffw_norm")) != is_gemma2 or (
        not is_gemma2 and (any(caps) or window or not scaled_by_head)
    ):
        raise ValueError(
            "Transformers has Gemma, without post norms, soft caps, sliding "
            "window and with queries scaled by head_dim, and Gemma 2, with "
            "both post norms. This model is neither. Received: "
            + ", ".join(
                f"{name}={arguments.get(name)}"
                for name in (
                    "use_post_attention_norm",
                    "use_post_ffw_norm",
                    "attention_logit_soft_cap",
                    "final_logit_soft_cap",
                    "use_sliding_window_attention",
                    "query_head_dim_normalize",
                )
            )
        )
    config = {
        "model_type": "gemma2" if is_gemma2 else "gemma",
        "vocab_size": num_rows,
        "hidden_size": arguments["hidden_dim"],
        "intermediate_size": canonical.feedforward_width(arguments),
        "num_hidden_layers": arguments["num_layers"],
        "num_attention_heads": arguments["num_query_heads"],
        "num_key_value_heads": arguments["num_key_value_heads"],
        "head_dim": arguments["head_dim"],
        "rms_norm_eps": arguments.get("layer_norm_epsilon", 1e-6),
        "tie_word_embeddings": True,
        "use_bidirectional_attention": True,
    }
    if not is_gemma2:
        return {**config, "hidden_act": "gelu_pytorch_tanh"}
    layers = range(arguments["num_layers"])
    return {
        **config,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": (
            arguments["head_dim"] if scaled_by_head else per_head
        ),
        "attn_logit_softcapping": caps[0],
        "final_logit_softcapping": caps[1],
        "sliding_window": arguments.get("sliding_window_size", 4096),
        # Transformers slides a window in every other layer unless told.
        "layer_types": [
            "sliding_attention" if window and i % 2 == 0 else "full_attention"
            for i in layers
        ],
    }


def _source_arrays(arguments, arrays):
    shapes = canonical.canonical_shapes(arguments)
    held = {}
    lazy = {
        path: _as_lazy(path, array, shapes.get(path), held)
        for path, array in arrays.items()
    }
    check_shapes(lazy, shapes)
    keys = invert(
        transformers.table(arguments),
        lazy,
        arguments,
        tuple(canonical.COMPONENTS),
    )
    # One row more than the vocabulary, for Transformers' own `<image>`.
    rows = arguments["vocabulary_size"] + 1
    rows += -rows % EMBEDDING_ROWS_MULTIPLE
    keys[EMBEDDING_KEY] = keys[EMBEDDING_KEY].padded(rows)
    return keys


def _as_lazy(path, array, shape, held):
    """One interface for what a caller may hand over.

    What a callable returns is held while its rows are written, and let go
    when the next one is called.
    """
    if isinstance(array, LazyArray):
        return array
    if not callable(array):
        return LazyArray.from_numpy(array, path)

    def load(start, stop):
        if path not in held:
            held.clear()
            held[path] = array()
            if tuple(held[path].shape) != shape:
                raise ValueError(
                    f"{path}: expected shape {shape}. "
                    f"Received: shape={tuple(held[path].shape)}"
                )
        return held[path][start:stop]

    return LazyArray(shape or (), "float32", path, load)


def _config_files(arguments, keys, proto, image_options, dtype):
    special = DEFAULT_SPECIAL_IDS if proto is None else special_ids(proto)
    rows = keys[EMBEDDING_KEY].num_rows
    config = transformers_config_of(arguments, rows, special, dtype)
    files = {
        "config.json": config,
        "generation_config.json": {
            f"{name}_token_id": index for name, index in special.items()
        },
    }
    if proto is None:
        return files
    if num_pieces(proto) != arguments["vocabulary_size"]:
        raise ValueError(
            "The tokenizer must have as many pieces as the model's embedding "
            f"has rows. Received: {num_pieces(proto)} pieces, "
            f"vocabulary_size={arguments['vocabulary_size']}"
        )
    tokenizer, tokenizer_config = tokenizer_files(proto)
    files["tokenizer.json"] = tokenizer
    files["tokenizer_config.json"] = tokenizer_config
    files["preprocessor_config.json"] = _image_processor(
        arguments, image_options
    )
    return files


def _image_processor(arguments, image_options):
    interpolation = image_options.get("interpolation", "bilinear")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"Expected an interpolation of {list(INTERPOLATIONS)}. "
            f"Received: interpolation={interpolation!r}"
        )
    size = arguments["image_size"]
    return {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "PaliGemmaProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": INTERPOLATIONS[interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_seq_length": canonical.sizes(arguments)["num_patches"],
    }


def _written_key(key):
    for ours, theirs in WRITTEN_SPELLING.items():
        if key.startswith(ours):
            return theirs + key.removeprefix(ours)
    raise ValueError(f"No spelling is known for the key {key}.")


@contextlib.contextmanager
def _moved_when_complete(directory, parent):
    temporary = tempfile.mkdtemp(
        prefix=f".{os.path.basename(directory)}-", dir=parent
    )
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if os.path.isdir(directory):
            os.rmdir(directory)
        os.rename(temporary, directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
