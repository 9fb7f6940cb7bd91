"""Opens big_vision's `.npz`: every size is read from the shapes."""

import math
import os
import re

from keras_paligemma.checkpoints import big_vision
from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints.npz_reader import read_npz
from keras_paligemma.checkpoints.table import expand

# Gemma 2 is told by its post norms; what shapes do not say is as published.
GEMMA2_ATTENTION_SOFT_CAP = 50.0
GEMMA2_FINAL_SOFT_CAP = 30.0
# Gemma 2 27B alone scales queries by width / heads: (width, heads, head size).
SCALED_BY_WIDTH = (4608, 32, 128)

# Gemma's own files end in 128 rows that no token uses.
PADDED_VOCABULARY = 256128
GEMMA_VOCABULARY = 256000


def read_big_vision(path, components=tuple(canonical.COMPONENTS)):
    """Describes a big_vision `.npz`.

    Args:
        path: path of an `.npz` file.
        components: tuple of str. Which components of the backbone to look
            for; the image encoder alone may also come from a SigLIP, embedding
            and decoder also from a Gemma.

    Returns:
        A pair of constructor arguments and a dict of path to `LazyArray`.

    Raises:
        ValueError: if the file is damaged, of another model, or its arrays
            do not fit each other.
    """
    arrays = _normalise_keys(read_npz(path))
    shapes = _Shapes(arrays, os.fspath(path))
    arguments, options, ignored = {}, {}, list(big_vision.IGNORED)
    if "image_encoder" in components:
        options["stacked_vision"] = shapes.is_stacked(big_vision.VISION_STACKED)
        arguments.update(_image_encoder_arguments(shapes, **options))
    else:
        ignored.extend(big_vision.IGNORED_BESIDE_DECODER)
    if "decoder" in components:
        stacked = shapes.is_stacked(big_vision.TEXT_STACKED)
        options["stacked_text"] = stacked
        arguments.update(_decoder_arguments(shapes, stacked))
        options["transposed_gating"] = _is_gating_transposed(
            shapes, stacked, arguments["hidden_dim"]
        )
    else:
        ignored.extend(big_vision.IGNORED_BESIDE_IMAGE_ENCODER)
    if "projector" not in components and "decoder" in components:
        if arguments["vocabulary_size"] == PADDED_VOCABULARY:
            arguments["vocabulary_size"] = GEMMA_VOCABULARY
    found = expand(
        big_vision.table(arguments, **options),
        arrays,
        arguments,
        components,
        ignored,
        os.fspath(path),
    )
    return arguments, found


def _normalise_keys(arrays):
    """Gives keys the names of a PaliGemma, whatever part they are of."""
    renamed = {key.removeprefix("params/"): arrays[key] for key in arrays}
    for key in list(renamed):
        if re.match(r"(embedder|layers|final_norm)/", key):
            renamed[f"llm/{key}"] = renamed.pop(key)
        elif re.match(
            r"(embedding/|Transformer/|MAPHead_0/|pos_embedding$)", key
        ):
            renamed[f"img/{key}"] = renamed.pop(key)
    return renamed


class _Shapes:
    """Shapes by key, with an error that tells what a checkpoint lacks."""

    def __init__(self, arrays, path):
        self.arrays = arrays
        self.path = path

    def of(self, key, num_axes):
        array = self.arrays.get(key)
        if array is None:
            raise ValueError(
                f"{self.path}: expected an array {key}, from which sizes are "
                "read; this is a checkpoint of another model, or of one part "
                f"of it. Received: {len(self.arrays)} arrays, the first "
                f"{sorted(self.arrays)[:8]}"
            )
        if len(array.shape) != num_axes:
            raise ValueError(
                f"{array.source}: expected {num_axes} axes. "
                f"Received: shape={array.shape}"
            )
        return array.shape

    def is_stacked(self, prefix):
        """Whether the layers lie in one array and not in one for each."""
        rest = [
            key[len(prefix) :] for key in self.arrays if key.startswith(prefix)
        ]
        return bool(rest) and not any(re.match(r"\d+/", key) for key in rest)

    def of_layers(self, prefix, key, num_axes, stacked):
        """The number of layers, and the shape of an array in one layer."""
        if stacked:
            shape = self.of(prefix + key, num_axes + 1)
            return shape[0], shape[1:]
        pattern = re.escape(prefix).replace(r"\{i\}", r"(\d+)")
        found = [re.match(pattern, name) for name in self.arrays]
        layers = {int(match[1]) for match in found if match}
        shape = self.of(prefix.format(i=0) + key, num_axes)
        return max(layers) + 1, shape


def _image_encoder_arguments(shapes, stacked_vision):
    prefix = (
        big_vision.VISION_STACKED
        if stacked_vision
        else big_vision.VISION_SINGLE
    )
    patch, _, _, dim = shapes.of("img/embedding/kernel", 4)
    num_patches = shapes.of("img/pos_embedding", 3)[1]
    attention = big_vision.VISION_ATTENTION
    layers, query = shapes.of_layers(
        prefix, f"{attention}/query/kernel", 3, stacked_vision
    )
    _, mlp = shapes.of_layers(
        prefix, "MlpBlock_0/Dense_0/kernel", 2, stacked_vision
    )
    grid = math.isqrt(num_patches)
    if grid**2 != num_patches:
        raise ValueError(
            f"{shapes.arrays['img/pos_embedding'].source}: expected a square "
            f"number of positions. Received: {num_patches}"
        )
    return {
        "image_size": grid * patch,
        "vit_patch_size": patch,
        "vit_num_heads": query[1],
        "vit_hidden_dim": dim,
        "vit_num_layers": layers,
        "vit_intermediate_dim": mlp[1],
    }


def _decoder_arguments(shapes, stacked):
    prefix = big_vision.TEXT_STACKED if stacked else big_vision.TEXT_SINGLE
    vocabulary, dim = shapes.of("llm/embedder/input_embedding", 2)
    joined = f"{prefix.format(i=0)}attn/qkv_einsum/w" in shapes.arrays
    if joined:
        layers, (_, heads, _, head_dim) = shapes.of_layers(
            prefix, "attn/qkv_einsum/w", 4, stacked
        )
        kv_heads = heads
    else:
        layers, (heads, _, head_dim) = shapes.of_layers(
            prefix, "attn/q_einsum/w", 3, stacked
        )
        _, (_, kv_heads, _, _) = shapes.of_layers(
            prefix, "attn/kv_einsum/w", 4, stacked
        )
    _, (mlp_dim, _) = shapes.of_layers(prefix, "mlp/linear", 2, stacked)
    is_gemma2 = any(
        re.search(r"/post_(attention|ffw)_norm/", key) for key in shapes.arrays
    )
    return {
        "vocabulary_size": vocabulary,
        "num_layers": layers,
        "num_query_heads": heads,
        "num_key_value_heads": kv_heads,
        "hidden_dim": dim,
        "intermediate_dim": canonical.intermediate_dim_of(mlp_dim),
        "head_dim": head_dim,
        "query_head_dim_normalize": (dim, heads, head_dim) != SCALED_BY_WIDTH,
        "use_post_ffw_norm": is_gemma2,
        "use_post_attention_norm": is_gemma2,
        "attention_logit_soft_cap": (
            GEMMA2_ATTENTION_SOFT_CAP if is_gemma2 else None
        ),
        "final_logit_soft_cap": GEMMA2_FINAL_SOFT_CAP if is_gemma2 else None,
        "use_sliding_window_attention": False,
        "sliding_window_size": 4096,
        "layer_norm_epsilon": 1e-6,
        "dropout": 0.0,
    }


def _is_gating_transposed(shapes, stacked, dim):
    prefix = big_vision.TEXT_STACKED if stacked else big_vision.TEXT_SINGLE
    _, shape = shapes.of_layers(prefix, "mlp/gating_einsum", 3, stacked)
    return shape[1] != dim and shape[2] == dim
