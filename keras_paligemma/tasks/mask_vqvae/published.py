"""The published form of a mask codec: arrays by PyTorch's names, in a .npz."""

import os
import tempfile
from importlib import resources

import numpy as np
from keras import ops

from keras_paligemma.tasks.mask import NUM_CODEWORDS
from keras_paligemma.tasks.mask_vqvae.mask_vqvae import MaskVQVAE

_CODEBOOK = "_vq_vae._embedding"
# Transposed convolutions are [in, out, ...] in PyTorch and [..., out, in] in
# Keras, convolutions the other way round in both: one order serves for either.
_TO_KERAS = (2, 3, 1, 0)
_TO_PYTORCH = (3, 2, 0, 1)


def load_mask_codec(path=None):
    """Reads a mask codec.

    Args:
        path: path or `None`. A `.npz` with the names of the published
            `vae-oid.npz`, which codes as PaliGemma was trained to; `None`
            for the one that ships with this package, trained by
            `examples/train_mask_vqvae.py`. Models only understand the codes
            of the codec they were trained with.

    Returns:
        `MaskVQVAE`; its widths are those of the arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Arrays are missing, left over, or of other shapes.

    Example:

    ```python
    codec = load_mask_codec("vae-oid.npz")
    mask.pixels(codec, image_size=(480, 640))
    ```
    """
    if path is None:
        folder = resources.files("keras_paligemma.tasks.mask_vqvae")
        with resources.as_file(folder / "mask_vqvae.npz") as shipped:
            return load_mask_codec(shipped)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    needed = [f"encoder.{n}.weight" for n in (0, 2, 4, 6)]
    needed += ["decoder.4.weight", _CODEBOOK]
    _check_names(path, needed, arrays, allow_more=True)
    codec = MaskVQVAE(
        encoder_dims=[arrays[name].shape[0] for name in needed[:4]],
        decoder_dim=arrays["decoder.4.weight"].shape[0],
        codeword_dim=arrays[_CODEBOOK].shape[-1],
    )
    variables = _variables(codec)
    _check_names(path, variables, arrays)
    values = {}
    for name, variable in variables.items():
        expected = tuple(variable.shape)
        if name.endswith(".weight"):
            expected = tuple(expected[axis] for axis in _TO_PYTORCH)
        if arrays[name].shape != expected:
            raise ValueError(
                f"{path}: {name} does not fit the other arrays. Expected: "
                f"shape={expected}. Received: shape={arrays[name].shape}"
            )
        values[name] = arrays[name].astype("float32")
        if name.endswith(".weight"):
            values[name] = values[name].transpose(_TO_KERAS)
    for name, variable in variables.items():
        variable.assign(values[name])
    quantizer = codec.quantizer
    quantizer.counts.assign(np.ones(NUM_CODEWORDS, "float32"))
    quantizer.sums.assign(values[_CODEBOOK])
    return codec


def save_mask_codec(codec, path, dtype="float32"):
    """Writes a mask codec under the published names, whole or not at all.

    Args:
        codec: `MaskVQVAE`.
        path: path. A `.npz`.
        dtype: `"float32"`, or `"float16"` for half the size.
    """
    arrays = {}
    for name, variable in _variables(codec).items():
        value = ops.convert_to_numpy(variable)
        if name.endswith(".weight"):
            value = value.transpose(_TO_PYTORCH)
        arrays[name] = value.astype(dtype)
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        partial = os.path.join(scratch, "codec.npz")
        np.savez(partial, **arrays)
        os.replace(partial, path)


def _variables(codec):
    """Every array of the published form, and the variable it is."""
    variables = {_CODEBOOK: codec.quantizer.embeddings}
    for name, layer in codec.named_layers.items():
        variables[f"{name}.weight"] = layer.kernel
        variables[f"{name}.bias"] = layer.bias
    return variables


def _check_names(path, expected, arrays, allow_more=False):
    missing = sorted(set(expected) - set(arrays))
    left_over = [] if allow_more else sorted(set(arrays) - set(expected))
    # What PyTorch keeps for training only.
    left_over = [name for name in left_over if not name.startswith("_vq_vae.")]
    if missing or left_over:
        raise ValueError(
            f"{path} must hold the arrays of a mask codec, by the names of "
            f"vae-oid.npz. Missing: {missing[:5]}. Left over: {left_over[:5]}"
        )
