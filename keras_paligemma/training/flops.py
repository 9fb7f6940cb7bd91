"""Floating-point operations of a training step, and what devices can do."""

import re

import keras

# Dense peak in FLOP/s, from the makers' data sheets: 16-bit matrix units, and
# float32 outside of them (TPUs have no other unit). The first name whose words
# are all among those of the device counts. To JAX a v5p is a "TPU v5", a v5e
# a "TPU v5 lite".
PEAKS = {
    "GH200": (989e12, 67e12),
    "H200": (989e12, 67e12),
    "H100 PCIe": (756e12, 51e12),
    "H100 NVL": (835e12, 60e12),
    "H100": (989e12, 67e12),
    "A100": (312e12, 19.5e12),
    "L40S": (362e12, 91.6e12),
    "L4": (121e12, 30.3e12),
    "A10": (125e12, 31.2e12),
    "V100 PCIe": (112e12, 14e12),
    "V100": (125e12, 15.7e12),
    "T4": (65e12, 8.1e12),
    "TPU v6e": (918e12, 918e12),
    "TPU v6 lite": (918e12, 918e12),
    "TPU v5e": (197e12, 197e12),
    "TPU v5 lite": (197e12, 197e12),
    "TPU v5p": (459e12, 459e12),
    "TPU v5": (459e12, 459e12),
    "TPU v4 lite": (138e12, 138e12),
    "TPU v4": (275e12, 275e12),
    "TPU v3": (123e12, 123e12),
}


def forward_flops(arguments, text_length, num_images=1, loss_tokens=None):
    """Operations of one example's forward pass.

    A product of `[m, k]` and `[k, n]` counts `2 m k n`. All pairs of
    positions count in attention, seen or not, as it is computed. Norms,
    activations and softmax are left out.

    Args:
        arguments: dict. Constructor arguments of `PaliGemmaBackbone`.
        text_length: int. Text tokens, padding included.
        num_images: int. Images of the example.
        loss_tokens: int. Tokens whose logits are computed; all text tokens
            by default.

    Returns:
        dict of component to int: `image_encoder`, `projector`, `decoder`,
        `embedding` (the logits).
    """
    a = arguments
    patches = (a["image_size"] // a["vit_patch_size"]) ** 2
    width = a["vit_hidden_dim"]
    image_tokens = num_images * patches
    block = 4 * width * width + 2 * width * a["vit_intermediate_dim"]
    image_encoder = (
        2 * image_tokens * width * 3 * a["vit_patch_size"] ** 2
        + a["vit_num_layers"] * 2 * image_tokens * block
        + a["vit_num_layers"] * 4 * image_tokens * patches * width
    )
    length = image_tokens + text_length
    hidden = a["hidden_dim"]
    queries = a["num_query_heads"] * a["head_dim"]
    keys = a["num_key_value_heads"] * a["head_dim"]
    # `intermediate_dim` counts gate and up projection together.
    feedforward = 3 * hidden * a["intermediate_dim"] // 2
    block = 2 * hidden * queries + 2 * hidden * keys + feedforward
    decoder = a["num_layers"] * (
        2 * length * block + 4 * length * length * queries
    )
    if loss_tokens is None:
        loss_tokens = text_length
    return {
        "image_encoder": image_encoder,
        "projector": 2 * image_tokens * width * hidden,
        "decoder": decoder,
        "embedding": 2 * loss_tokens * hidden * a["vocabulary_size"],
    }


def training_flops(arguments, text_length, num_images=1, loss_tokens=None):
    """Model FLOPs of training on one example: three forward passes.

    One forward, and two for the gradients with respect to inputs and
    weights (arXiv 2204.02311, appendix B). What rematerialisation computes a
    second time does not count.

    Example:

    ```python
    arguments = PaliGemmaBackbone.from_preset(
        "pali_gemma_3b_224", load_weights=False
    ).get_config()
    training_flops(arguments, text_length=128)  # 6.8e12
    ```

    Args:
        arguments, text_length, num_images, loss_tokens: As for
            `forward_flops`.

    Returns:
        An int.
    """
    parts = forward_flops(arguments, text_length, num_images, loss_tokens)
    return 3 * sum(parts.values())


def peak_flops(device_kind, dtype):
    """The peak of a device by its name, or `None` if it is not known.

    Example:

    ```python
    peak_flops("NVIDIA A100-SXM4-40GB", "bfloat16")  # 3.12e14
    ```

    Args:
        device_kind: string. As the driver calls the device.
        dtype: string. In which products are computed.

    Returns:
        A float, in FLOP/s, or `None`.
    """
    words = set(re.split(r"[^a-z0-9]+", device_kind.lower()))
    for name, (half, single) in PEAKS.items():
        if words.issuperset(name.lower().split()):
            return single if dtype == "float32" else half
    return None


def device_peak(dtype):
    """The peak of all devices of this run together, or `None`.

    Args:
        dtype: string. In which products are computed.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        kinds = [device.device_kind for device in jax.devices()]
    elif backend == "torch":
        import torch

        kinds = []
        if torch.cuda.is_available():
            kinds = [torch.cuda.get_device_name()]
            if torch.distributed.is_available():
                if torch.distributed.is_initialized():
                    kinds *= torch.distributed.get_world_size()
    else:
        import tensorflow as tf

        details = [
            tf.config.experimental.get_device_details(device)
            for device in tf.config.list_physical_devices("GPU")
        ]
        kinds = [found.get("device_name", "") for found in details]
    peaks = [peak_flops(kind, dtype) for kind in kinds]
    return sum(peaks) if peaks and None not in peaks else None
