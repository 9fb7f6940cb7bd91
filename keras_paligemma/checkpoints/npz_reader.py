"""Reads the arrays of `.npz` files."""

import io
import math
import os
import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np

from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.arrays import mapped_array

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path):
    """Describes the arrays of an `.npz` file.

    Uncompressed members are mapped where they lie in the file; compressed
    ones are decompressed as a stream. Two-byte `void` is bfloat16, which
    NumPy cannot name.

    Args:
        path: path of an `.npz` file.

    Returns:
        A dict of key to `LazyArray`.

    Raises:
        ValueError: if the file is damaged, or if members hold Python objects,
            which would have to be unpickled. All faults are listed.
    """
    path = os.fspath(path)
    arrays, problems = {}, []
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            size = os.path.getsize(path)
            for member in archive.infolist():
                key = member.filename.removesuffix(".npy")
                try:
                    arrays[key] = _describe(
                        archive, file, size, path, member, key
                    )
                except (ValueError, EOFError, zlib.error) as error:
                    problems.append(f"{path}: {key}: {error}")
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path}: the file is cut short or is no `.npz`; download it "
            f"again. Received: {error}"
        ) from error
    if problems:
        raise ValueError("\n  ".join([f"{path} is damaged:", *problems]))
    return arrays


def _describe(archive, file, size, path, member, key):
    with archive.open(member) as stream:
        shape, fortran, dtype = _read_array_header(stream)
        header_bytes = stream.tell()
    source = f"{path}: {key}"
    if dtype.hasobject:
        raise ValueError(
            "the array holds pickled Python objects, which are never "
            "unpickled since that may run code; save plain numbers instead. "
            f"Received: dtype={dtype}"
        )
    if dtype.kind == "V" and dtype.itemsize == 2:
        dtype = np.dtype(ml_dtypes.bfloat16)
    expected = header_bytes + math.prod(shape) * dtype.itemsize
    if member.file_size != expected:
        raise ValueError(
            f"expected {expected} bytes for shape {shape} of {dtype}. "
            f"Received: {member.file_size} bytes"
        )
    stored_shape = tuple(reversed(shape)) if fortran else shape
    if member.compress_type == zipfile.ZIP_STORED:
        offset = _data_offset(file, member) + header_bytes
        if offset + expected - header_bytes > size:
            raise ValueError(f"the file is cut short at {size} bytes")
        array = mapped_array(path, offset, stored_shape, dtype, source)
    else:
        reader = _Decompressor(
            path, member.filename, header_bytes, stored_shape, dtype
        )
        array = LazyArray(stored_shape, dtype, source, reader.load)
    if fortran:
        array = array.transposed(reversed(range(len(shape))))
    return array


def _read_array_header(stream):
    version = np.lib.format.read_magic(stream)
    if version not in HEADER_READERS:
        raise ValueError(f"unknown version of the array header: {version}")
    return HEADER_READERS[version](stream)


def _data_offset(file, member):
    """Where the bytes of an uncompressed member begin in the file."""
    file.seek(member.header_offset)
    header = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return member.header_offset + LOCAL_HEADER.size + header[9] + header[10]


class _Decompressor:
    """Reads rows of a compressed member, in order without starting anew.

    The last rows are kept, since a stacked array is asked for the same rows
    once for the keys and once for the values.
    """

    def __init__(self, path, name, header_bytes, shape, dtype):
        self._path = path
        self._name = name
        self._header_bytes = header_bytes
        self._row_shape = tuple(shape[1:])
        self._row_bytes = math.prod(self._row_shape) * dtype.itemsize
        self._has_rows = bool(shape)
        self._dtype = dtype
        self._stream = None
        self._row = 0
        self._last = None

    def load(self, start, stop):
        if self._last is not None and self._last[:2] == (start, stop):
            return self._last[2]
        if self._stream is None or start < self._row:
            self._open()
        self._skip((start - self._row) * self._row_bytes)
        length = (stop - start) * self._row_bytes
        data = self._stream.read(length)
        if len(data) != length:
            raise ValueError(f"{self._path}: {self._name}: cut short")
        rows = np.frombuffer(data, self._dtype)
        leading = (stop - start,) if self._has_rows else ()
        rows = rows.reshape((*leading, *self._row_shape))
        self._row = stop
        self._last = (start, stop, rows)
        return rows

    def _open(self):
        if self._stream is not None:
            self._stream.close()
        self._stream = zipfile.ZipFile(self._path).open(self._name)
        self._row = 0
        self._skip(self._header_bytes)

    def _skip(self, count):
        while count > 0:
            skipped = len(self._stream.read(min(count, io.DEFAULT_BUFFER_SIZE)))
            if not skipped:
                raise ValueError(f"{self._path}: {self._name}: cut short")
            count -= skipped
