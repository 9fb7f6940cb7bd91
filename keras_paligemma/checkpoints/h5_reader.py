"""Reads the arrays of Keras weight files, one file or sharded."""

import json
import os

import h5py
import ml_dtypes
import numpy as np

from keras_paligemma.checkpoints.arrays import LazyArray

SINGLE_NAME = "model.weights.h5"
INDEX_NAME = "model.weights.json"


def read_h5_directory(directory):
    """Describes the weights of a Keras preset directory.

    Args:
        directory: path of a directory with `model.weights.h5`, or with
            `model.weights.json` and its shards.

    Returns:
        A dict of key to `LazyArray`; the keys are the paths in the file.

    Raises:
        ValueError: if no weights are there, a shard is missing, or a file is
            damaged; all such faults are listed.
    """
    directory = os.fspath(directory)
    names = [SINGLE_NAME]
    index_path = os.path.join(directory, INDEX_NAME)
    if not os.path.exists(os.path.join(directory, SINGLE_NAME)):
        if not os.path.exists(index_path):
            raise ValueError(
                f"Expected {SINGLE_NAME} or {INDEX_NAME} in the directory. "
                f"Received: directory={directory} with "
                f"{sorted(os.listdir(directory))}"
            )
        names = _shard_names(index_path)
    arrays, problems = {}, []
    for name in names:
        path = os.path.join(directory, name)
        if os.path.basename(name) != name or not os.path.exists(path):
            problems.append(f"{path}: the index names this shard, no such file")
            continue
        try:
            arrays.update(read_h5(path))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n  ".join(["The checkpoint is damaged:", *problems]))
    return arrays


def read_h5(path):
    """Describes the datasets of one Keras `.weights.h5` file.

    Args:
        path: path of the file.

    Returns:
        A dict of key to `LazyArray`.

    Raises:
        ValueError: if the file cannot be read as HDF5.
    """
    path = os.fspath(path)
    arrays = {}

    def visit(key, node):
        if isinstance(node, h5py.Dataset):
            arrays[key] = _describe(path, key, node)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{path}: the file is cut short or is no HDF5; download it again. "
            f"Received: {error}"
        ) from error
    return arrays


def _describe(path, key, dataset):
    source = f"{path}: {key}"
    dtype = dataset.dtype
    if dtype.kind not in "fiub" and not _is_bfloat16(dataset):
        raise ValueError(
            f"{source}: expected an array of numbers. Received: dtype={dtype}"
        )
    if _is_bfloat16(dataset):
        dtype = np.dtype(ml_dtypes.bfloat16)
    if dataset.external or dataset.is_virtual:
        raise ValueError(
            f"{source}: the values lie in another file, which is not followed."
        )

    def load(start, stop):
        with h5py.File(path, "r") as file:
            stored = file[key]
            rows = stored[start:stop] if stored.shape else stored[()]
        return np.asarray(rows).view(dtype)

    return LazyArray(dataset.shape, dtype, source, load)


def _is_bfloat16(dataset):
    """Whether Keras wrote bfloat16, which HDF5 has no name for."""
    return dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2


def _shard_names(index_path):
    try:
        with open(index_path, encoding="utf-8") as file:
            weight_map = json.load(file)["weight_map"]
        names = set()
        for value in weight_map.values():
            names.update([value] if isinstance(value, str) else value)
        return sorted(names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{index_path} is damaged: expected JSON with a `weight_map`. "
            f"Received: {error!r}"
        ) from error
