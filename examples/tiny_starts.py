"""Initial values of the tiny PaliGemma, in the place of big data.

What large models come to learn of positions, patches and neighbours from
billions of images, a small one is given to begin with. All of it stays
trainable.
"""

import math

import numpy as np
from keras import ops

# Of the image encoder's width: the rest is for what patches hold.
POSITION_DIM = 64
# Neighbours that heads begin by looking at, as (rows, columns); further heads
# begin at random.
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (0, 0))


def grid_waves(side, width):
    """Sines and cosines of rows and columns, float `[side * side, width]`.

    Their frequencies divide the half circle evenly, so that of two places
    near each other the products are far smaller than of one with itself.
    """
    angles = np.arange(side)[:, None] * wave_frequencies(width // 4)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    rows = np.repeat(waves, side, axis=0)
    columns = np.tile(waves, (side, 1))
    return np.concatenate([rows, columns], 1)


def wave_frequencies(count):
    """Radians a place: evenly from near 0 to near half a turn."""
    return np.pi * np.arange(1, count + 1) / (count + 1)


def neighbour_kernels(width, position_dim, heads, neighbours=NEIGHBOURS):
    """Query and key kernels by which heads look at neighbouring patches.

    With `grid_waves` in the last `position_dim` channels, the product of a
    query and a key is greatest where the key's patch stands at the head's
    offset from the query's: attention begins as a convolution (Zheng et al.,
    arXiv 2404.01139).

    Args:
        width: int. Channels in all.
        position_dim: int. The last so many hold positions.
        heads: int. Of the attention.
        neighbours: sequence of (rows, columns), one for each of the first
            heads.

    Returns:
        Two float arrays `[width, heads, width // heads]`, zero for the heads
        that have no neighbour.
    """
    head_dim = width // heads
    waves = position_dim // 4
    used = head_dim // 4
    frequencies = wave_frequencies(waves)
    query = np.zeros((width, heads, head_dim), "float32")
    key = np.zeros_like(query)
    for head, offset in enumerate(neighbours[:heads]):
        # As many of the waves as the head has room for.
        apart = max(1, waves // used)
        chosen = np.arange(head % apart, waves, apart)[:used]
        for axis, steps in enumerate(offset):
            sines = width - position_dim + axis * 2 * waves + chosen
            cosines = sines + waves
            out = axis * 2 * used + np.arange(len(chosen))
            angles = frequencies[chosen] * steps
            query[sines, head, out] = 1.0
            query[cosines, head, used + out] = 1.0
            # The waves of the place `steps` before.
            key[sines, head, out] = np.cos(angles)
            key[cosines, head, out] = -np.sin(angles)
            key[cosines, head, used + out] = np.cos(angles)
            key[sines, head, used + out] = np.sin(angles)
    return query, key


def whitened_patches(images, patch_size, width, floor=0.003, size=0.7, seed=0):
    """A patch kernel and bias whose outputs are all alike and independent.

    Principal components of the patches, each divided by its standard
    deviation, then rotated at random: else brightness is nearly all that an
    untrained patch embedding passes on.

    Args:
        images: uint8 array `[images, height, width, 3]`.
        patch_size: int.
        width: int. Outputs.
        floor: float. Added to the variances, as a share of the greatest.
        size: float. Standard deviation of the outputs.
        seed: int. Of the rotation.

    Returns:
        Float arrays `[patch_size, patch_size, 3, width]` and `[width]`, for
        pixels in -1..1.
    """
    count, height, columns = images.shape[:3]
    cells = height // patch_size, patch_size, columns // patch_size, patch_size
    x = images.reshape(count, *cells, 3).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, patch_size * patch_size * 3) / 127.5 - 1.0
    mean = x.mean(0)
    variances, axes = np.linalg.eigh(np.cov((x - mean).T))
    variances, axes = variances[::-1][:width], axes[:, ::-1][:, :width]
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(width, width)))
    scales = np.sqrt(np.maximum(variances, 0) + floor * variances[0])
    kernel = axes / scales @ rotation
    kernel *= size / ((x - mean) @ kernel).std()
    return kernel.reshape(patch_size, patch_size, 3, width), -mean @ kernel


def give_structure(encoder, images, heads):
    """Sets these initial values in a `SigLIPVisionEncoder`.

    Patches are written to the first channels, positions to the last; no
    block writes to those of positions at first.

    Args:
        encoder: `keras_hub.models.SigLIPVisionEncoder`, untrained.
        images: uint8 array `[images, height, width, 3]`, for the patches.
        heads: int. Of the encoder's attention.
    """
    weights = {variable.path: variable for variable in encoder.weights}

    def only(end):
        (variable,) = (v for path, v in weights.items() if path.endswith(end))
        return variable

    positions = only("position_embedding/embeddings")
    patches = only("patch_embedding/kernel")
    count, width = positions.shape
    content = width - POSITION_DIM
    places = np.zeros((count, width), "float32")
    places[:, content:] = grid_waves(math.isqrt(count), POSITION_DIM)
    positions.assign(places)
    kernel = np.zeros(patches.shape, "float32")
    bias = np.zeros(width, "float32")
    kernel[..., :content], bias[:content] = whitened_patches(
        images, patches.shape[0], content
    )
    patches.assign(kernel)
    only("patch_embedding/bias").assign(bias)
    starts = neighbour_kernels(width, POSITION_DIM, heads)
    told = min(heads, len(NEIGHBOURS))
    for path, variable in weights.items():
        if not path.startswith("encoder_block"):
            continue
        value = ops.convert_to_numpy(ops.cast(variable, "float32")).copy()
        if path.endswith("self_attn/query/kernel"):
            value[:, :told] = starts[0][:, :told]
        elif path.endswith("self_attn/key/kernel"):
            value[:, :told] = starts[1][:, :told]
        elif path.endswith(("attention_output/kernel", "fc2/kernel")):
            value[..., content:] = 0.0
        else:
            continue
        variable.assign(value)


def line_waves(count, width, shortest=16):
    """Sines and cosines of places on a line, float `[count, width]`.

    Their periods go from twice the line down to `shortest` places, so that
    rows are the more alike the nearer their places are. Mean square 1/2.
    """
    periods = np.geomspace(2 * count, shortest, width // 2)
    angles = 2 * np.pi * np.arange(count)[:, None] / periods
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)
