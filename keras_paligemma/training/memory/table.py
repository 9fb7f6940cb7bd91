"""The estimates as text: one run's parts, and what fits on which card."""

from keras_paligemma.training.memory.estimate import CARDS
from keras_paligemma.training.memory.estimate import GIB
from keras_paligemma.training.memory.estimate import largest_batch

# Ways to train with less, from the most memory to the least.
WAYS = {
    "all of it, float32, Adam": {},
    "the same, mixed_bfloat16, remat": {
        "dtype": "mixed_bfloat16",
        "remat": True,
    },
    "all of it, bfloat16, Adam, remat": {"dtype": "bfloat16", "remat": True},
    "all of it, bfloat16, Adafactor, remat": {
        "dtype": "bfloat16",
        "optimizer": "adafactor",
        "remat": True,
    },
    "image encoder frozen, bfloat16, Adafactor, remat": {
        "dtype": "bfloat16",
        "optimizer": "adafactor",
        "frozen": ("image_encoder",),
        "remat": True,
    },
    "decoder and embedding frozen, bfloat16, Adam, remat": {
        "dtype": "bfloat16",
        "frozen": ("decoder", "embedding"),
        "remat": True,
    },
    "LoRA of rank 8, bfloat16, remat": {
        "dtype": "bfloat16",
        "lora_rank": 8,
        "remat": True,
    },
    "LoRA over int8, bfloat16, remat": {
        "dtype": "bfloat16",
        "lora_rank": 8,
        "quantize": "int8",
        "remat": True,
    },
    "LoRA over int4, bfloat16, remat": {
        "dtype": "bfloat16",
        "lora_rank": 8,
        "quantize": "int4",
        "remat": True,
    },
}
# Text tokens, as published for pre-training at each image size.
TEXT_LENGTHS = {224: 128, 448: 512, 896: 512}


def parts_text(estimate):
    """One run's parts, a line each, and the cards that hold it.

    Example:

    ```python
    print(parts_text(estimate_memory(arguments, lora_rank=8)))
    # weights          5.46 GiB
    # ...
    # all              6.56 GiB
    # fullest      at the backward pass of decoder/block_16
    # fits in      16 GB, 24 GB, 40 GB, 80 GB
    ```

    Args:
        estimate: `MemoryEstimate`.

    Returns:
        A string.
    """
    rows = [
        f"{name:<12} {size / GIB:8.2f} GiB"
        for name, size in estimate.parts.items()
    ]
    rows.append(f"{'all':<12} {estimate.total / GIB:8.2f} GiB")
    moment = estimate.moment
    if "/" in moment:
        moment = f"backward pass of {moment}"
    rows.append(f"fullest      at the {moment}")
    cards = [f"{card} GB" for card in CARDS if estimate.fits(card)]
    rows.append(f"fits in      {', '.join(cards) or f'none of {CARDS} GB'}")
    return "\n".join(rows)


def fitting_table(arguments, image_sizes=(224, 448, 896), **settings):
    """A Markdown table: the largest batch a card holds, for ways to train.

    Args:
        arguments: dict. Constructor arguments of the backbone.
        image_sizes: tuple of ints. Pixels on a side.
        **settings: As of `MemorySettings`, for all ways.

    Returns:
        A string.
    """
    columns = [(size, card) for size in image_sizes for card in CARDS]
    names = [f"{size} px, {card} GB" for size, card in columns]
    lines = [
        "| trained | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, way in WAYS.items():
        cells = []
        for size, card in columns:
            length = TEXT_LENGTHS.get(size, 128)
            options = {"text_length": length, **way, **settings}
            sized = {**arguments, "image_size": size}
            batch = largest_batch(sized, card, **options)
            cells.append(str(batch) if batch else "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
