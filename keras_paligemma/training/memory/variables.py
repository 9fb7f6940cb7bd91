"""Bytes of variables: weights, gradients and the state of the optimizer."""

import dataclasses
import math

from keras_paligemma.checkpoints.canonical import canonical_shapes

# Shortest side of a matrix that Adafactor keeps by row and column.
MIN_SIZE_TO_FACTOR = 32
# Numbers that share a scale in Keras' int4.
INT4_BLOCK = 128


@dataclasses.dataclass
class GroupBytes:
    """Bytes of the variables of a block, or of what lies outside blocks.

    Attributes:
        weights: int. As they are stored.
        gradients: int. Of what is trained.
        optimizer: int. Slots, and accumulated gradients.
        copies: int. Of what a step makes of the weights before it uses
            them: cast to the compute dtype, merged with LoRA's products,
            unpacked from int4. They are kept for the backward pass.
        largest: int. Bytes of the largest single gradient before it is
            reduced to what is trained, as LoRA does.
        is_trained: bool. Whether anything in it is.
    """

    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    copies: int = 0
    largest: int = 0
    is_trained: bool = False


def variable_groups(arguments, settings):
    """Sums the bytes of variables by the block that they belong to.

    Args:
        arguments: dict. Constructor arguments of the backbone.
        settings: `MemorySettings`.

    Returns:
        A dict of group, as `"decoder/block_0"`, `"decoder"` (its final
        norm), `"image_encoder"` (patches, positions, final norm),
        `"projector"`, `"embedding"`, to `GroupBytes`.
    """
    groups = {}
    for path, shape in canonical_shapes(arguments).items():
        parts = path.split("/")
        inside = parts[1].startswith("block_")
        name = "/".join(parts[:2]) if inside else parts[0]
        _add(groups.setdefault(name, GroupBytes()), path, shape, settings)
    return groups


def _add(group, path, shape, settings):
    size = math.prod(shape)
    parts = path.split("/")
    component, layer, name = parts[0], parts[-2], parts[-1]
    is_matrix = name in ("kernel", "embeddings")
    quantize = settings.quantize if is_matrix else None
    group.weights += _stored(shape, name, quantize, settings)
    mixed = settings.variable_bytes != settings.compute_bytes
    if settings.lora_rank is None:
        if is_matrix and mixed:
            group.copies += size * settings.compute_bytes
        if component not in settings.frozen:
            is_kernel = name == "kernel"
            _train(group, shape, settings.variable_bytes, settings, is_kernel)
        return
    if quantize == "int4":
        # Keras closes over the unpacked kernel, of a byte a number.
        group.copies += size
    elif is_matrix and quantize is None and mixed:
        group.copies += size * settings.compute_bytes
    adapted = (
        name == "kernel"
        and layer in settings.lora_layers
        and component not in settings.frozen
    )
    if adapted:
        rank = settings.lora_rank
        for factor in ((shape[0], rank), (rank, shape[1])):
            group.weights += 4 * math.prod(factor)
            _train(group, factor, 4, settings)
        if quantize is None:
            # The sum of kernel and product, and its gradient.
            group.copies += 0 if mixed else 4 * size
            group.largest = max(group.largest, 4 * size)


def _stored(shape, name, quantize, settings):
    size = math.prod(shape)
    scale = settings.variable_bytes
    if quantize is None:
        return size * settings.variable_bytes
    rows, columns = shape
    if quantize == "int8":
        return size + rows * scale
    blocks = math.ceil(columns / INT4_BLOCK)
    packed_axis = columns if name == "embeddings" else rows
    packed = size // packed_axis * math.ceil(packed_axis / 2)
    # Scale and zero point of each block, and the block of each column.
    return packed + rows * blocks * (scale + 1) + columns * 4


def _train(group, shape, variable_bytes, settings, is_kernel=False):
    size = math.prod(shape)
    group.is_trained = True
    group.gradients += size * variable_bytes
    group.largest = max(group.largest, size * variable_bytes)
    if settings.optimizer == "adam":
        group.optimizer += 2 * 4 * size
    elif settings.optimizer == "muon":
        group.optimizer += (1 if is_kernel else 2) * 4 * size
    elif settings.optimizer == "adafactor":
        factored = len(shape) > 1 and min(shape[-2:]) >= MIN_SIZE_TO_FACTOR
        slots = sum(shape) if factored else size
        group.optimizer += 4 * slots + 2 * size
    if settings.gradient_accumulation > 1:
        group.optimizer += size * variable_bytes
