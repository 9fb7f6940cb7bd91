"""Tiny random checkpoints of each format, written by its own library.

The weights are large enough that greedy decoding varies. big_vision's names
and shapes are written down here by hand, from its source.
"""

import keras
import keras_hub
import ml_dtypes
import numpy as np

ARGUMENTS = {
    "vocabulary_size": 67,
    "image_size": 12,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 24,
    "intermediate_dim": 40,
    "head_dim": 8,
    "vit_patch_size": 4,
    "vit_num_heads": 2,
    "vit_hidden_dim": 16,
    "vit_num_layers": 2,
    "vit_intermediate_dim": 18,
    "query_head_dim_normalize": True,
    "use_post_ffw_norm": False,
    "use_post_attention_norm": False,
    "attention_logit_soft_cap": None,
    "final_logit_soft_cap": None,
    "use_sliding_window_attention": False,
    "sliding_window_size": 4096,
    "layer_norm_epsilon": 1e-6,
    "dropout": 0.0,
}
GENERATION_2 = {
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
    "attention_logit_soft_cap": 50.0,
    "final_logit_soft_cap": 30.0,
}


def tiny_arguments(generation=1, **overrides):
    """Constructor arguments of a tiny PaliGemma 1 or 2."""
    extra = GENERATION_2 if generation == 2 else {}
    return {**ARGUMENTS, **extra, **overrides}


def random_values(rng, name, shape):
    """Random weights for a variable, by the role that its name shows."""
    values = rng.standard_normal(shape)
    if len(shape) <= 1 or "norm" in name.lower():
        return (0.3 * values).astype("float32")
    if "embed" in name and "patch" not in name:
        return values.astype("float32")
    fan_in = np.prod(shape) / max(shape)
    return (2.0 * values / np.sqrt(fan_in)).astype("float32")


def write_transformers_checkpoint(
    directory,
    generation=1,
    arguments=None,
    seed=0,
    dtype="float32",
    max_shard_size="5GB",
    extra_rows=5,
):
    """Writes a PaliGemma with `save_pretrained`.

    Args:
        directory: path.
        generation: int. 1 or 2.
        arguments: dict or `None`. Constructor arguments of the backbone.
        seed: int.
        dtype: str. The stored float type.
        max_shard_size: str. A small one gives shards.
        extra_rows: int. Embedding rows beyond the vocabulary.

    Returns:
        The `PaliGemmaForConditionalGeneration`.
    """
    import torch
    import transformers

    arguments = arguments or tiny_arguments(generation)
    model = transformers.PaliGemmaForConditionalGeneration(
        transformers_config(arguments, extra_rows)
    )
    randomize_torch(model, seed)
    model = model.to(getattr(torch, dtype)).eval()
    model.save_pretrained(directory, max_shard_size=max_shard_size)
    return model


def transformers_config(arguments, extra_rows=5):
    """The `PaliGemmaConfig` for constructor arguments of the backbone."""
    import transformers

    return transformers.PaliGemmaConfig(
        text_config=text_config(arguments, extra_rows),
        vision_config=vision_config(arguments),
        image_token_index=arguments["vocabulary_size"],
        projection_dim=arguments["hidden_dim"],
        hidden_size=arguments["hidden_dim"],
    )


def text_config(arguments, extra_rows=0):
    """The Gemma or Gemma 2 part of a Transformers config, as a dict."""
    config = {
        "model_type": "gemma",
        "vocab_size": arguments["vocabulary_size"] + extra_rows,
        "hidden_size": arguments["hidden_dim"],
        "intermediate_size": arguments["intermediate_dim"] // 2,
        "num_hidden_layers": arguments["num_layers"],
        "num_attention_heads": arguments["num_query_heads"],
        "num_key_value_heads": arguments["num_key_value_heads"],
        "head_dim": arguments["head_dim"],
    }
    if arguments["use_post_attention_norm"]:
        by_head = arguments["query_head_dim_normalize"]
        per_head = arguments["hidden_dim"] // arguments["num_query_heads"]
        config.update(
            model_type="gemma2",
            query_pre_attn_scalar=(
                arguments["head_dim"] if by_head else per_head
            ),
            attn_logit_softcapping=arguments["attention_logit_soft_cap"],
            final_logit_softcapping=arguments["final_logit_soft_cap"],
        )
    return config


def vision_config(arguments, vision_use_head=False):
    """The SigLIP part of a Transformers config, as a dict."""
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": arguments["vit_hidden_dim"],
        "intermediate_size": arguments["vit_intermediate_dim"],
        "num_hidden_layers": arguments["vit_num_layers"],
        "num_attention_heads": arguments["vit_num_heads"],
        "image_size": arguments["image_size"],
        "patch_size": arguments["vit_patch_size"],
        "vision_use_head": vision_use_head,
    }


def randomize_torch(model, seed):
    """Gives a torch model random weights, the same for a seed."""
    import torch

    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = random_values(rng, name, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(np.asarray(values)))


def big_vision_shapes(arguments, stacked=True):
    """Key and shape of every parameter of big_vision's PaliGemma."""
    a = arguments
    grid = a["image_size"] // a["vit_patch_size"]
    patch, width = a["vit_patch_size"], a["vit_hidden_dim"]
    heads, mlp = a["vit_num_heads"], a["vit_intermediate_dim"]
    dim, vocabulary = a["hidden_dim"], a["vocabulary_size"]
    shapes = {
        "img/embedding/kernel": (patch, patch, 3, width),
        "img/embedding/bias": (width,),
        "img/pos_embedding": (1, grid * grid, width),
        "img/Transformer/encoder_norm/scale": (width,),
        "img/Transformer/encoder_norm/bias": (width,),
        "img/head/kernel": (width, dim),
        "img/head/bias": (dim,),
        "llm/embedder/input_embedding": (vocabulary, dim),
        "llm/final_norm/scale": (dim,),
    }
    block = {
        "LayerNorm_0/scale": (width,),
        "LayerNorm_0/bias": (width,),
        "LayerNorm_1/scale": (width,),
        "LayerNorm_1/bias": (width,),
        "MlpBlock_0/Dense_0/kernel": (width, mlp),
        "MlpBlock_0/Dense_0/bias": (mlp,),
        "MlpBlock_0/Dense_1/kernel": (mlp, width),
        "MlpBlock_0/Dense_1/bias": (width,),
    }
    attention = "MultiHeadDotProductAttention_0"
    for name in ("query", "key", "value"):
        block[f"{attention}/{name}/kernel"] = (width, heads, width // heads)
        block[f"{attention}/{name}/bias"] = (heads, width // heads)
    block[f"{attention}/out/kernel"] = (heads, width // heads, width)
    block[f"{attention}/out/bias"] = (width,)
    _add_layers(
        shapes,
        "img/Transformer/encoderblock",
        "_",
        block,
        a["vit_num_layers"],
        stacked,
    )
    _add_layers(
        shapes, "llm/layers", "/", _text_block(a), a["num_layers"], stacked
    )
    return shapes


def _text_block(a):
    dim, head_dim = a["hidden_dim"], a["head_dim"]
    mlp = a["intermediate_dim"] // 2
    heads, kv_heads = a["num_query_heads"], a["num_key_value_heads"]
    block = {
        "pre_attention_norm/scale": (dim,),
        "pre_ffw_norm/scale": (dim,),
        "attn/attn_vec_einsum/w": (heads, head_dim, dim),
        "mlp/gating_einsum": (2, dim, mlp),
        "mlp/linear": (mlp, dim),
    }
    if heads == kv_heads:
        block["attn/qkv_einsum/w"] = (3, heads, dim, head_dim)
    else:
        block["attn/q_einsum/w"] = (heads, dim, head_dim)
        block["attn/kv_einsum/w"] = (2, kv_heads, dim, head_dim)
    if a["use_post_attention_norm"]:
        block["post_attention_norm/scale"] = (dim,)
        block["post_ffw_norm/scale"] = (dim,)
    return block


def _add_layers(shapes, prefix, separator, block, num_layers, stacked):
    for key, shape in block.items():
        if stacked:
            shapes[f"{prefix}/{key}"] = (num_layers, *shape)
            continue
        for i in range(num_layers):
            shapes[f"{prefix}{separator}{i}/{key}"] = shape


def write_big_vision_npz(
    path,
    arguments=None,
    seed=0,
    dtype="float32",
    generation=1,
    prefix="params/",
    stacked=True,
    compressed=False,
    keep=None,
):
    """Writes a PaliGemma in big_vision's names with `np.savez`.

    Args:
        path: path of the `.npz` file.
        arguments: dict or `None`. Constructor arguments of the backbone.
        seed: int.
        dtype: str. `"bfloat16"` is stored as two-byte void, as NumPy does.
        generation: int. 1 or 2, where `arguments` is `None`.
        prefix: str. What keys begin with.
        stacked: bool. Whether layers are stacked, as `nn.scan` does.
        compressed: bool. Whether to use `np.savez_compressed`.
        keep: callable or `None`. Which keys to write.

    Returns:
        A dict of key, without the prefix, to array.
    """
    arguments = arguments or tiny_arguments(generation)
    rng = np.random.default_rng(seed)
    arrays = {}
    for key, shape in big_vision_shapes(arguments, stacked).items():
        values = random_values(rng, key, shape)
        numpy_dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
        if keep is None or keep(key):
            arrays[key] = values.astype(numpy_dtype)
    stored = {
        f"{prefix}{key}": values.view("V2") if dtype == "bfloat16" else values
        for key, values in arrays.items()
    }
    (np.savez_compressed if compressed else np.savez)(path, **stored)
    return arrays


def write_keras_hub_preset(
    directory,
    generation=1,
    arguments=None,
    seed=0,
    dtype="float32",
    **kwargs,
):
    """Writes a preset of Keras-Hub's `PaliGemmaBackbone`.

    Args:
        directory: path.
        generation: int. 1 or 2, where `arguments` is `None`.
        arguments: dict or `None`. Constructor arguments, ours.
        seed: int.
        dtype: str. A dtype policy.
        **kwargs: arguments of `save_to_preset`, as `max_shard_size`.

    Returns:
        The `keras_hub.models.PaliGemmaBackbone`.
    """
    arguments = arguments or tiny_arguments(generation)
    backbone = keras_hub.models.PaliGemmaBackbone(**arguments, dtype=dtype)
    randomize_keras(backbone, seed)
    backbone.save_to_preset(directory, **kwargs)
    return backbone


def randomize_keras(model, seed):
    """Gives a Keras model random weights, the same for a seed."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            values = random_values(rng, weight.path, tuple(weight.shape))
            weight.assign(values)
