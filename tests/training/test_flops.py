import keras
import pytest

from keras_paligemma.training.flops import device_peak
from keras_paligemma.training.flops import forward_flops
from keras_paligemma.training.flops import peak_flops
from keras_paligemma.training.flops import training_flops
from tests.models import tiny_models

# PaliGemma 3B at 224 pixels, the sizes of DESIGN.md.
PALIGEMMA = {
    "vocabulary_size": 257_152,
    "image_size": 224,
    "num_layers": 18,
    "num_query_heads": 8,
    "num_key_value_heads": 1,
    "hidden_dim": 2048,
    "intermediate_dim": 32_768,
    "head_dim": 256,
    "vit_patch_size": 14,
    "vit_num_heads": 16,
    "vit_hidden_dim": 1152,
    "vit_num_layers": 27,
    "vit_intermediate_dim": 4304,
}


def test_is_about_six_times_weights_times_tokens():
    # The common rule of thumb; attention comes on top of it.
    image_encoder, decoder = 412e6, 1_981_884_416
    rule = 6 * (256 * image_encoder + (256 + 128) * decoder)
    rule += 6 * 128 * 257_152 * 2048
    ours = training_flops(PALIGEMMA, text_length=128)
    assert ours == pytest.approx(rule, rel=0.03)
    assert ours > rule


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="XLA counts on JAX"
)
def test_agrees_with_what_the_compiler_counts():
    import jax
    import numpy as np

    # Wide enough that products outweigh norms and softmax.
    sizes = {
        "num_layers": 1,
        "vit_num_layers": 1,
        "hidden_dim": 128,
        "intermediate_dim": 1024,
        "vit_hidden_dim": 128,
        "vit_intermediate_dim": 512,
        "head_dim": 32,
        "vocabulary_size": 2000,
    }
    backbone = tiny_models.tiny_backbone(**sizes)
    task = tiny_models.tiny_task(backbone)
    length = 32
    inputs = {
        "images": np.zeros((1, 28, 28, 3), "float32"),
        "token_ids": np.ones((1, length), "int32"),
        "padding_mask": np.ones((1, length), "int32"),
        "response_mask": np.zeros((1, length), "int32"),
    }
    state = [v.value for v in task.variables]

    def call(state, inputs):
        mapping = list(zip(task.variables, state, strict=True))
        with keras.StatelessScope(mapping):
            return task(inputs)

    analysis = jax.jit(call).lower(state, inputs).compile().cost_analysis()
    ours = sum(forward_flops(backbone.get_config(), length).values())
    assert ours == pytest.approx(analysis["flops"], rel=0.05)


@pytest.mark.parametrize(
    ("kind", "dtype", "peak"),
    [
        ("NVIDIA A100-SXM4-40GB", "bfloat16", 312e12),
        ("NVIDIA A100-SXM4-40GB", "float32", 19.5e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA H100 80GB HBM3", "float16", 989e12),
        ("NVIDIA H200", "bfloat16", 989e12),
        ("Tesla T4", "float16", 65e12),
        ("NVIDIA L4", "bfloat16", 121e12),
        ("TPU v5 lite", "bfloat16", 197e12),
        ("TPU v5e", "bfloat16", 197e12),
        ("TPU v5p", "bfloat16", 459e12),
        # What JAX calls a v5p.
        ("TPU v5", "bfloat16", 459e12),
        ("TPU v4", "bfloat16", 275e12),
        ("TPU v6 lite", "bfloat16", 918e12),
        ("Tesla V100-SXM2-16GB", "float16", 125e12),
        ("Tesla V100-PCIE-32GB", "float16", 112e12),
        ("NVIDIA GH200 480GB", "bfloat16", 989e12),
        # Begin as a known one does.
        ("NVIDIA L40", "bfloat16", None),
        ("NVIDIA T400", "float16", None),
        ("NVIDIA A10G", "float16", None),
        ("Intel Xeon", "float32", None),
    ],
)
def test_peaks_of_known_devices(kind, dtype, peak):
    assert peak_flops(kind, dtype) == peak


def test_a_cpu_has_no_known_peak():
    assert device_peak("float32") is None
