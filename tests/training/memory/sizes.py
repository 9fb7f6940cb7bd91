"""A small model whose activations weigh more than its weights."""

import math

import keras

import keras_paligemma
from keras_paligemma.training import ComponentAdafactor
from keras_paligemma.training import ComponentAdam
from keras_paligemma.training import ComponentMuon
from keras_paligemma.training import freeze

SMALL = {
    "vocabulary_size": 512,
    "image_size": 112,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 1,
    "hidden_dim": 128,
    "intermediate_dim": 1024,
    "head_dim": 32,
    "vit_patch_size": 14,
    "vit_num_heads": 4,
    "vit_hidden_dim": 96,
    "vit_num_layers": 2,
    "vit_intermediate_dim": 384,
}
OPTIMIZERS = {
    "adam": ComponentAdam,
    "adafactor": ComponentAdafactor,
    "muon": ComponentMuon,
    "sgd": lambda table, **options: keras.optimizers.SGD(1e-5, **options),
}
SIZES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "uint8": 1}
SIZES |= {"int32": 4, "uint32": 4, "int64": 8}


def ready_model(arguments, settings):
    """The model of `MemorySettings`, compiled, its optimizer built."""
    backbone = keras_paligemma.PaliGemmaBackbone(
        **arguments, dtype=settings.dtype, remat=settings.remat
    )
    model = keras_paligemma.PaliGemmaCausalLM(None, backbone)
    if settings.quantize:
        backbone.quantize(settings.quantize)
    if settings.lora_rank:
        backbone.enable_lora(settings.lora_rank)
    table = [(f"{name}/.*", None) for name in settings.frozen] + [(".*", 1e-5)]
    if settings.frozen:
        freeze(model, table)
    steps = settings.gradient_accumulation
    model.compile(
        optimizer=OPTIMIZERS[settings.optimizer](
            table, gradient_accumulation_steps=steps if steps > 1 else None
        )
    )
    model.optimizer.build(model.trainable_variables)
    return model


def count_bytes(variables):
    """Bytes of variables, large ones: no counters and seeds."""
    return sum(
        math.prod(v.shape) * SIZES[keras.backend.standardize_dtype(v.dtype)]
        for v in variables
        if math.prod(v.shape) > 4
    )
