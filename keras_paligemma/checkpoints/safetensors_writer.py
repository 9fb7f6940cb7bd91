"""Writes safetensors files, one array in memory at a time."""

import json
import os
import re
import struct

import numpy as np

from keras_paligemma.checkpoints.safetensors_reader import DTYPE_NAMES
from keras_paligemma.checkpoints.safetensors_reader import INDEX_NAME
from keras_paligemma.checkpoints.safetensors_reader import SINGLE_NAME

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def write_safetensors(path, arrays, dtype):
    """Writes one safetensors file.

    Args:
        path: path of the file to write.
        arrays: dict of key to `LazyArray`.
        dtype: `np.dtype`. The type to store all of them in.
    """
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for key, array in arrays.items():
        end = offset + array.size * dtype.itemsize
        header[key] = {
            "dtype": DTYPE_NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    # The data begins at a multiple of 8 bytes; spaces fill the header.
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for array in arrays.values():
            if not array.shape:
                file.write(array.read().astype(dtype).tobytes())
                continue
            for start, stop in array.blocks():
                rows = array.view_rows(start, stop)
                rows = np.ascontiguousarray(rows, dtype)
                file.write(memoryview(rows.view(np.uint8).reshape(-1)))


def write_safetensors_directory(directory, arrays, dtype, max_shard_size):
    """Writes one file, or shards with an index if one would be too large.

    Args:
        directory: path of an existing directory.
        arrays: dict of key to `LazyArray`.
        dtype: `np.dtype`. The type to store all of them in.
        max_shard_size: str or int. As `"5GB"`, or a number of bytes.
    """
    limit = parse_size(max_shard_size)
    shards, sizes = [{}], [0]
    for key, array in arrays.items():
        num_bytes = array.size * dtype.itemsize
        if shards[-1] and sizes[-1] + num_bytes > limit:
            shards.append({})
            sizes.append(0)
        shards[-1][key] = array
        sizes[-1] += num_bytes
    if len(shards) == 1:
        path = os.path.join(directory, SINGLE_NAME)
        write_safetensors(path, shards[0], dtype)
        return
    weight_map = {}
    for index, shard in enumerate(shards, 1):
        name = f"model-{index:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(os.path.join(directory, name), shard, dtype)
        weight_map.update(dict.fromkeys(shard, name))
    with open(os.path.join(directory, INDEX_NAME), "w") as file:
        json.dump(
            {"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map},
            file,
            indent=2,
        )


def parse_size(size):
    """The number of bytes that `"5GB"` or a number stands for.

    Example:

    >>> parse_size("1.5MB")
    1500000
    """
    match = re.fullmatch(r"([\d.]+)\s*([KMGT]?B?)", str(size).upper())
    unit = match[2] if match else None
    if not match or unit not in UNITS or float(match[1]) <= 0:
        raise ValueError(
            "Expected a positive number of bytes, or one with a unit as "
            f"'500MB' or '5GB'. Received: max_shard_size={size!r}"
        )
    return int(float(match[1]) * UNITS[unit])
