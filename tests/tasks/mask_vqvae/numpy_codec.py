"""The published layer description of the mask codec, read with NumPy loops.

Convolutions as PyTorch defines them: kernels `[out, in, height, width]`,
images `[channels, height, width]`; of transposed ones `[in, out, ...]`.
"""

import numpy as np

CODEBOOK = "_vq_vae._embedding"


def random_arrays(
    rng, encoder_dims=(4, 5, 6, 7), decoder_dim=8, codeword_dim=9
):
    """Arrays by the names, shapes and order of `vae-oid.npz`."""
    shapes = {}
    last = 1
    for number, dim in zip((0, 2, 4, 6), encoder_dims, strict=True):
        shapes[f"encoder.{number}"] = (dim, last, 4, 4)
        last = dim
    for number in (8, 9):
        shapes |= _residual(f"encoder.{number}", last)
    shapes["encoder.10"] = (codeword_dim, last, 1, 1)
    dim = decoder_dim
    shapes["decoder.0"] = (dim, codeword_dim, 1, 1)
    for number in (2, 3):
        shapes |= _residual(f"decoder.{number}", dim)
    biases = {}
    last = dim
    for number in (4, 6, 8, 10):
        shapes[f"decoder.{number}"] = (last, dim, 4, 4)
        biases[f"decoder.{number}"] = dim
        last, dim = dim, dim // 2
    shapes["decoder.12"] = (1, last, 1, 1)
    arrays = {CODEBOOK: rng.normal(size=(128, codeword_dim))}
    for name, shape in shapes.items():
        fan_in = shape[0 if name in biases else 1] * shape[2] * shape[3]
        if name in biases:
            fan_in /= 4  # the strides
        arrays[f"{name}.weight"] = rng.normal(size=shape) * (2 / fan_in) ** 0.5
        bias = biases.get(name, shape[0])
        arrays[f"{name}.bias"] = 0.2 * rng.normal(size=bias)
    return {name: value.astype("float32") for name, value in arrays.items()}


def _residual(name, dim):
    return {
        f"{name}.net.0": (dim, dim, 3, 3),
        f"{name}.net.2": (dim, dim, 3, 3),
        f"{name}.net.4": (dim, dim, 1, 1),
    }


def encode(arrays, mask):
    """Features `[4, 4, width]` and codes `[16]` of a mask `[64, 64]`."""
    x = (2.0 * np.asarray(mask, "float64") - 1.0)[None]
    for number in (0, 2, 4, 6):
        x = relu(convolve(arrays, f"encoder.{number}", x, 2, 1))
    for number in (8, 9):
        x = residual(arrays, f"encoder.{number}", x)
    x = convolve(arrays, "encoder.10", x, 1, 0).transpose(1, 2, 0)
    far = ((x[:, :, None] - arrays[CODEBOOK]) ** 2).sum(axis=-1)
    return x, far.argmin(axis=-1).reshape(16)


def decode(arrays, codes):
    """The decoder's output `[64, 64]` of 16 codes; above 0 is mask."""
    x = arrays[CODEBOOK][np.reshape(codes, (4, 4))].astype("float64")
    x = x.transpose(2, 0, 1)
    x = relu(convolve(arrays, "decoder.0", x, 1, 0))
    for number in (2, 3):
        x = residual(arrays, f"decoder.{number}", x)
    for number in (4, 6, 8, 10):
        x = relu(spread(arrays, f"decoder.{number}", x, 2, 1))
    return convolve(arrays, "decoder.12", x, 1, 0)[0]


def relu(x):
    return np.maximum(x, 0)


def residual(arrays, name, x):
    inner = relu(convolve(arrays, f"{name}.net.0", x, 1, 1))
    inner = relu(convolve(arrays, f"{name}.net.2", inner, 1, 1))
    return x + convolve(arrays, f"{name}.net.4", inner, 1, 0)


def convolve(arrays, name, x, stride, padding):
    kernel = arrays[f"{name}.weight"].astype("float64")
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = (x.shape[1] - kernel.shape[2]) // stride + 1
    result = np.empty((kernel.shape[0], size, size))
    for row in range(size):
        for column in range(size):
            top, left = row * stride, column * stride
            window = x[
                :, top : top + kernel.shape[2], left : left + kernel.shape[3]
            ]
            result[:, row, column] = np.tensordot(kernel, window, 3)
    return result + arrays[f"{name}.bias"][:, None, None]


def spread(arrays, name, x, stride, padding):
    """A transposed convolution: each pixel adds a kernel to the result."""
    kernel = arrays[f"{name}.weight"].astype("float64")
    side = kernel.shape[2]
    size = (x.shape[1] - 1) * stride + side
    result = np.zeros((kernel.shape[1], size, size))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            top, left = row * stride, column * stride
            result[:, top : top + side, left : left + side] += np.tensordot(
                x[:, row, column], kernel, 1
            )
    result = result[:, padding : size - padding, padding : size - padding]
    return result + arrays[f"{name}.bias"][:, None, None]
