"""What the memory of a training run depends on, beside the model's sizes."""

import dataclasses

COMPONENTS = ("image_encoder", "projector", "embedding", "decoder")
# Bytes of a variable and of a number in between, by dtype policy.
DTYPES = {
    "float32": (4, 4),
    "bfloat16": (2, 2),
    "float16": (2, 2),
    "mixed_bfloat16": (4, 2),
    "mixed_float16": (4, 2),
}
OPTIMIZERS = ("adam", "adafactor", "muon", "sgd")
QUANTIZATION_MODES = (None, "int8", "int4")


@dataclasses.dataclass(frozen=True)
class MemorySettings:
    """Settings of a training run.

    Example:

    ```python
    MemorySettings(batch_size=8, dtype="mixed_bfloat16", remat=True)
    MemorySettings(dtype="bfloat16", lora_rank=8, quantize="int4")
    ```

    Args:
        batch_size: int. Examples that pass at once, on one device.
        text_length: int. Text tokens an example.
        num_images: int. Images, or frames, an example.
        dtype: string. The Keras dtype policy.
        optimizer: string. `"adam"`, `"adafactor"` and `"muon"` are
            `ComponentAdam`, `ComponentAdafactor` and `ComponentMuon`, whose
            state is float32 (the momentum of Adafactor bfloat16); `"sgd"`
            has none.
        frozen: tuple of strings. Components that are not trained.
        lora_rank: int or `None`. If given, only low-rank additions are.
        lora_layers: tuple of strings. Which layers have them, as in
            `enable_lora(target_layer_names=)`.
        quantize: `"int8"`, `"int4"` or `None`. Of kernels and embeddings.
        remat: bool. Whether blocks recompute their activations.
        gradient_accumulation: int. Batches an update.
        chunked_loss: bool. Whether the loss is scored in chunks of tokens,
            as `compile` has it by default. It is not with metrics that need
            all logits.
        fused_attention: bool. Whether attention keeps no matrix of weights,
            as on PyTorch's GPU kernels. JAX and TensorFlow keep it.

    Raises:
        ValueError: If a value is not one of those.
    """

    batch_size: int = 1
    text_length: int = 128
    num_images: int = 1
    dtype: str = "float32"
    optimizer: str = "adam"
    frozen: tuple = ()
    lora_rank: int | None = None
    lora_layers: tuple = ("query_dense", "value_dense")
    quantize: str | None = None
    remat: bool = False
    gradient_accumulation: int = 1
    chunked_loss: bool = True
    fused_attention: bool = False

    def __post_init__(self):
        object.__setattr__(self, "frozen", tuple(self.frozen))
        object.__setattr__(self, "lora_layers", tuple(self.lora_layers))
        for name, known in (
            ("dtype", tuple(DTYPES)),
            ("optimizer", OPTIMIZERS),
            ("quantize", QUANTIZATION_MODES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {known}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        for name in (
            "batch_size",
            "text_length",
            "num_images",
            "gradient_accumulation",
        ):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be 1 or more. "
                    f"Received: {name}={getattr(self, name)}"
                )
        if self.lora_rank is not None and self.lora_rank < 1:
            raise ValueError(
                "`lora_rank` must be 1 or more, or `None`. "
                f"Received: lora_rank={self.lora_rank}"
            )
        unknown = sorted(set(self.frozen) - set(COMPONENTS))
        if unknown or (
            self.lora_rank is None and len(set(self.frozen)) == len(COMPONENTS)
        ):
            raise ValueError(
                f"`frozen` must be some of {COMPONENTS}, and not all. "
                f"Received: frozen={self.frozen}"
            )
        if self.quantize and self.lora_rank is None:
            raise ValueError(
                "Quantized weights are not trained: give `lora_rank` too. "
                f"Received: quantize={self.quantize}, lora_rank=None"
            )

    @property
    def variable_bytes(self):
        return DTYPES[self.dtype][0]

    @property
    def compute_bytes(self):
        return DTYPES[self.dtype][1]
