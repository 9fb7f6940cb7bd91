"""Reads the arrays of safetensors files, one file or sharded."""

import json
import math
import os
import struct

import ml_dtypes
import numpy as np

from keras_paligemma.checkpoints.arrays import mapped_array

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"

# The type names of the format, little endian as the format prescribes.
DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("bool"),
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The format allows no longer header; a larger number is a damaged file.
MAX_HEADER_BYTES = 100_000_000


def read_safetensors(path):
    """Reads the header of one file and describes its arrays.

    Args:
        path: path of a `.safetensors` file.

    Returns:
        A dict of key to `LazyArray`.

    Raises:
        ValueError: if the file is cut short or its header is damaged.
    """
    path = os.fspath(path)
    file_size = os.path.getsize(path)
    header, data_start = _read_header(path, file_size)
    arrays = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        arrays[key] = _describe(path, key, entry, data_start, file_size)
    return arrays


def read_safetensors_directory(directory):
    """Describes the arrays of a directory, one file or shards with an index.

    Args:
        directory: path of a directory.

    Returns:
        A dict of key to `LazyArray`.

    Raises:
        ValueError: if no safetensors file is there, if a shard is missing or
            damaged, or if the index and the shards disagree. All shards are
            looked at before anything is raised.
    """
    directory = os.fspath(directory)
    index_path = os.path.join(directory, INDEX_NAME)
    if not os.path.exists(index_path):
        return read_safetensors(_only_file(directory))
    shards, problems = {}, []
    weight_map = _read_index(index_path)
    for name in sorted(set(weight_map.values())):
        path = os.path.join(directory, name)
        if os.path.basename(name) != name or not os.path.exists(path):
            problems.append(f"{path}: the index names this shard, no such file")
            continue
        try:
            shards[name] = read_safetensors(path)
        except ValueError as error:
            problems.append(str(error))
    for key, name in weight_map.items():
        if name in shards and key not in shards[name]:
            path = os.path.join(directory, name)
            problems.append(f"{path}: {key}: the index places this array here")
    if problems:
        raise ValueError(
            f"The checkpoint {index_path} is incomplete; download it again:\n  "
            + "\n  ".join(problems)
        )
    return {
        key: array for shard in shards.values() for key, array in shard.items()
    }


def _only_file(directory):
    path = os.path.join(directory, SINGLE_NAME)
    if os.path.exists(path):
        return path
    names = sorted(
        name for name in os.listdir(directory) if name.endswith(".safetensors")
    )
    if len(names) == 1:
        return os.path.join(directory, names[0])
    raise ValueError(
        f"Expected {SINGLE_NAME} or {INDEX_NAME} in the directory. PyTorch "
        "`.bin` files are not read, since that would run code from them. "
        f"Received: directory={directory} with {sorted(os.listdir(directory))}"
    )


def _read_index(path):
    try:
        with open(path, encoding="utf-8") as file:
            weight_map = json.load(file)["weight_map"]
        return {str(key): str(name) for key, name in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged: expected JSON with a `weight_map` of key to "
            f"file name. Received: {error!r}"
        ) from error


def _read_header(path, file_size):
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
        if not 0 < length <= min(MAX_HEADER_BYTES, file_size - 8):
            raise ValueError(
                f"{path}: the safetensors header is damaged or cut short; "
                f"download the file again. Received: a header of {length} "
                f"bytes in a file of {file_size} bytes"
            )
        text = file.read(length)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{path}: the safetensors header is no JSON; download the file "
            f"again. Received: {error}"
        ) from error
    if not isinstance(header, dict):
        raise ValueError(
            f"{path}: the safetensors header must be a JSON object. "
            f"Received: {type(header).__name__}"
        )
    return header, 8 + length


def _describe(path, key, entry, data_start, file_size):
    try:
        dtype_name = entry["dtype"]
        shape = tuple(int(size) for size in entry["shape"])
        begin, end = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: {key}: the entry in the safetensors header is damaged. "
            f"Received: {entry!r}"
        ) from error
    if dtype_name not in DTYPES:
        raise ValueError(
            f"{path}: {key}: expected one of the types {sorted(DTYPES)}. "
            f"Received: dtype={dtype_name}"
        )
    dtype = DTYPES[dtype_name]
    if end - begin != math.prod(shape) * dtype.itemsize or begin < 0:
        raise ValueError(
            f"{path}: {key}: the safetensors header is damaged: shape {shape} "
            f"of {dtype_name} does not fill bytes {begin} to {end}."
        )
    if data_start + end > file_size:
        raise ValueError(
            f"{path}: {key}: the file is cut short; download it again. The "
            f"array ends at byte {data_start + end}. Received: a file of "
            f"{file_size} bytes"
        )
    return mapped_array(
        path, data_start + begin, shape, dtype, f"{path}: {key}"
    )
