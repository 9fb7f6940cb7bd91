"""Writes a model as a Transformers checkpoint."""

import functools

import keras
import numpy as np

from keras_paligemma.checkpoints.export import write_transformers

# What LoRA changes: a layer's property of this name has it merged.
LORA_WEIGHTS = ("kernel", "embeddings")


def export_backbone(backbone, path, preprocessor=None, dtype=None):
    """Writes config, weights and, with a preprocessor, its files.

    Args:
        backbone: `PaliGemmaBackbone`. LoRA is merged into the kernels.
        path: string. The directory to make.
        preprocessor: `PaliGemmaCausalLMPreprocessor` or `None`.
        dtype: string. Of the weights written; the variables' by default.

    Raises:
        ValueError: If the weights are quantized, which Transformers stores
            in another way.
    """
    tokenizer = None if preprocessor is None else preprocessor.tokenizer
    converter = None if preprocessor is None else preprocessor.image_converter
    options = {}
    if converter is not None:
        options["interpolation"] = converter.interpolation
    write_transformers(
        path,
        arguments=backbone.get_config(),
        arrays=canonical_values(backbone),
        tokenizer_proto=None if tokenizer is None else tokenizer.proto,
        image_options=options,
        dtype=dtype or backbone.projector.variable_dtype,
    )


def canonical_values(backbone):
    """The value of each canonical path, read when called.

    Args:
        backbone: `PaliGemmaBackbone`.

    Returns:
        dict of path to a callable that returns a NumPy array.
    """
    layers = {layer.path: layer for layer in sublayers(backbone)}
    quantized = [p for p, x in layers.items() if x.quantization_mode]
    if quantized:
        raise ValueError(
            "Quantized weights have no place in a Transformers checkpoint of "
            "PaliGemma; export before `quantize`. "
            f"Received: {len(quantized)} quantized layers, the first "
            f"{quantized[0]}"
        )
    values = {}
    for weight in backbone.weights:
        parent, _, name = weight.path.rpartition("/")
        if name.startswith("lora_"):
            continue
        values[weight.path] = functools.partial(
            _value, layers.get(parent), name, weight
        )
    return values


def sublayers(layer):
    """Yields the layers inside a layer or model, at any depth."""
    seen = set()
    stack = [layer.image_encoder, layer.projector]
    stack += [layer.token_embedding, layer.decoder]
    while stack:
        found = stack.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        for value in vars(found).values():
            if isinstance(value, keras.Layer):
                stack.append(value)
            elif isinstance(value, (list, tuple)):
                stack += [x for x in value if isinstance(x, keras.Layer)]


def _value(layer, name, weight):
    if getattr(layer, "lora_enabled", False) and name in LORA_WEIGHTS:
        weight = getattr(layer, name)
    return np.asarray(keras.ops.convert_to_numpy(weight))
