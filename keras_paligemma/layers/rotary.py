"""Rotary position embedding at given positions (Su et al., 2104.09864)."""

from keras import ops

MAX_WAVELENGTH = 10_000.0


def rotary_tables(positions, head_dim, max_wavelength=MAX_WAVELENGTH):
    """Cosines and sines for each position.

    Args:
        positions: int tensor `[batch, length]`. A token's place among the
            tokens that are no padding.
        head_dim: int. Size of an attention head, even.
        max_wavelength: float. The longest wavelength.

    Returns:
        Two float32 tensors `[batch, length, 1, head_dim / 2]`.
    """
    exponents = ops.arange(0, head_dim, 2, dtype="float32") / head_dim
    wavelengths = ops.power(max_wavelength, exponents)
    angles = ops.cast(positions, "float32")[..., None] / wavelengths
    return ops.cos(angles)[:, :, None, :], ops.sin(angles)[:, :, None, :]


def rotate(heads, tables):
    """Rotates the first half of each head's channels against the second.

    Args:
        heads: float tensor `[batch, length, num_heads, head_dim]`.
        tables: what `rotary_tables` returned.

    Returns:
        Tensor of the shape and dtype of `heads`.
    """
    cosine, sine = tables
    x = ops.cast(heads, "float32")
    first, second = ops.split(x, 2, axis=-1)
    rotated = ops.concatenate(
        [first * cosine - second * sine, second * cosine + first * sine],
        axis=-1,
    )
    return ops.cast(rotated, heads.dtype)
