"""The memory of one training step, from sizes alone."""

import dataclasses

from keras_paligemma.layers.chunked_crossentropy import chunk_size
from keras_paligemma.training.memory.activations import block_activations
from keras_paligemma.training.memory.settings import MemorySettings
from keras_paligemma.training.memory.variables import variable_groups

# A GB of graphics cards is a GiB; part of it is the driver's, the
# allocator's, and what falls between its pieces.
GIB = 2**30
USABLE = 0.92
CARDS = (16, 24, 40, 80)
# Copies of a full logits tensor, float32: logits, softmax, gradient.
FULL_LOGITS = 3


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the fullest moment of a training step, by what they are.

    Attributes:
        weights: int. All variables of the model.
        optimizer: int. State of the optimizer, accumulated gradients too.
        gradients: int. Those that exist at that moment.
        copies: int. Weights cast, merged with LoRA or unpacked.
        activations: int. What is kept for the backward pass.
        working: int. What the moment itself needs, the loss for instance.
        moment: string. `"loss"`, `"update"` or the name of a block.
    """

    weights: int
    optimizer: int
    gradients: int
    copies: int
    activations: int
    working: int
    moment: str

    @property
    def parts(self):
        """A dict of name to bytes."""
        fields = dataclasses.asdict(self)
        return {k: v for k, v in fields.items() if k != "moment"}

    @property
    def total(self):
        """int. Bytes in all."""
        return sum(self.parts.values())

    def fits(self, gigabytes):
        """Whether a device of so much memory holds it, its own use left.

        Args:
            gigabytes: float. As cards are sold: 16, 24, 40, 80.
        """
        return self.total <= gigabytes * GIB * USABLE


def estimate_memory(arguments, **settings):
    """Estimates the memory of a training step of `PaliGemmaCausalLM`.

    The step is followed from its loss back to its first block: which
    gradients exist already and which activations still do. The fullest
    moment counts. Pure arithmetic: nothing is made.

    Example:

    ```python
    arguments = published_arguments("pali_gemma_3b_224")
    estimate = estimate_memory(arguments, batch_size=8, lora_rank=8)
    estimate.total / 2**30, estimate.fits(24)
    ```

    Args:
        arguments: dict. Constructor arguments of the backbone.
        **settings: As of `MemorySettings`.

    Returns:
        A `MemoryEstimate`.

    Raises:
        ValueError: If a setting is not one.
    """
    settings = MemorySettings(**settings)
    groups = variable_groups(arguments, settings)
    blocks = block_activations(arguments, settings)
    moments = list(_moments(arguments, settings, groups, blocks))
    return max(moments, key=lambda moment: moment.total)


def largest_batch(arguments, gigabytes, limit=4096, **settings):
    """The most examples a batch that fit, or 0.

    Example:

    ```python
    largest_batch(arguments, 24, dtype="bfloat16", remat=True, lora_rank=8)
    ```

    Args:
        arguments: dict. Constructor arguments of the backbone.
        gigabytes: float. Memory of the device.
        limit: int. No more than so many.
        **settings: As of `MemorySettings`, without `batch_size`.

    Returns:
        An int.
    """

    def fits(batch_size):
        estimate = estimate_memory(arguments, batch_size=batch_size, **settings)
        return estimate.fits(gigabytes)

    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= limit and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return min(low, limit)


def _moments(arguments, settings, groups, blocks):
    """Yields an estimate for the loss, each block backwards, the update."""
    weights = sum(group.weights for group in groups.values())
    weights += _inputs(arguments, settings)
    optimizer = sum(group.optimizer for group in groups.values())
    gradients = 0
    copies = {name: group.copies for name, group in groups.items()}
    kept = _kept(settings, groups, blocks)

    def moment(name, working, copied):
        return MemoryEstimate(
            weights=weights,
            optimizer=optimizer,
            gradients=gradients,
            copies=copied,
            activations=sum(kept.values()),
            working=working,
            moment=name,
        )

    def copied(name):
        """Copies at a block's turn: with `remat` those of it alone."""
        outside = sum(n for g, n in copies.items() if "/" not in g)
        if settings.remat:
            return outside + copies[name]
        return sum(copies.values())

    last = blocks[-1].name
    yield moment("loss", _loss(arguments, settings, groups), copied(last))
    gradients += groups["embedding"].gradients
    for block in reversed(blocks):
        name = block.name
        if kept.pop(name) or groups[name].is_trained:
            working = block.working + groups[name].largest
            if settings.remat:
                # What was not kept comes back for as long.
                working += block.kept - block.inputs
            yield moment(name, working, copied(name))
            gradients += groups[name].gradients
        else:
            yield moment(name, block.working, copied(name))
        if not settings.remat:
            copies[name] = 0
    gradients = sum(group.gradients for group in groups.values())
    yield moment("update", 0, 0)


def _kept(settings, groups, blocks):
    """Bytes that each block keeps: none before the first trained one."""
    # Trained in front of the decoder, its first block has a way to go back.
    reached = {
        "image_encoder": groups["image_encoder"].is_trained,
        "decoder": any(
            group.is_trained
            for name, group in groups.items()
            if not name.startswith("decoder")
        ),
    }
    kept = {}
    for block in blocks:
        component = block.name.split("/")[0]
        reached[component] |= groups[block.name].is_trained
        size = block.inputs if settings.remat else block.kept
        kept[block.name] = size if reached[component] else 0
    return kept


def _inputs(arguments, settings):
    """Bytes of the batch: images in float32, tokens and masks."""
    pixels = 3 * arguments["image_size"] ** 2 * settings.num_images
    tokens = 5 * settings.text_length
    return 4 * settings.batch_size * (pixels + tokens)


def _loss(arguments, settings, groups):
    """Bytes that the loss needs, the gradient of the embedding included."""
    vocabulary = arguments["vocabulary_size"]
    dim = arguments["hidden_dim"]
    tokens = settings.batch_size * settings.text_length
    working = 4 * tokens * dim * 2
    if settings.quantize:
        # The loss reads a copy of the table in the compute dtype.
        working += settings.compute_bytes * vocabulary * dim
    if not settings.chunked_loss:
        return working + FULL_LOGITS * 4 * tokens * vocabulary
    # Logits of a chunk and their gradient, and the sum of the gradients.
    working += 3 * 4 * min(chunk_size(vocabulary), tokens) * vocabulary
    if groups["embedding"].is_trained:
        working += 4 * vocabulary * dim
    return working
