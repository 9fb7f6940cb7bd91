"""Arrays that are described now and read later, a few rows at a time."""

import math

import ml_dtypes
import numpy as np

BLOCK_BYTES = 32 * 2**20

# The spellings of the float types that checkpoints use.
FLOAT_DTYPES = {
    "float64": np.dtype("float64"),
    "float32": np.dtype("float32"),
    "float16": np.dtype("float16"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


class LazyArray:
    """An array in a file: shape and dtype are known, values are read later.

    Reading copies blocks of rows and lets go of each block, so that what
    stays in memory is the result alone, whatever the size of the file.

    Args:
        shape: tuple of ints. The shape of the array.
        dtype: `np.dtype`, also `ml_dtypes.bfloat16`. Its type.
        source: str. Where it comes from, for errors: `"file: key"`.
        load: callable `(start, stop) -> array`. Gives rows `start` to `stop`
            of axis 0, as a view of a mapped file where that is possible. For
            a scalar it is called with `(0, 1)` and gives the scalar.
        cheap_rows: bool. Whether asking for few rows reads few rows.

    Example:

    >>> array = LazyArray.from_numpy(np.arange(6).reshape(2, 3), "example")
    >>> array.transposed((1, 0)).read_rows(1, 2)
    array([[1, 4]])
    """

    def __init__(self, shape, dtype, source, load, cheap_rows=True):
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.source = source
        self.cheap_rows = cheap_rows
        self._load = load

    @classmethod
    def from_numpy(cls, array, source):
        """Wraps an array that is in memory already."""
        array = np.asarray(array)
        if array.ndim == 0:
            return cls((), array.dtype, source, lambda start, stop: array)
        return cls(
            array.shape,
            array.dtype,
            source,
            lambda start, stop: array[start:stop],
        )

    @classmethod
    def stacked(cls, arrays, source):
        """The array whose row `i` is `arrays[i]`; all of one shape."""
        first = arrays[0]
        return cls(
            (len(arrays), *first.shape),
            first.dtype,
            source,
            lambda start, stop: np.stack(
                [array.read() for array in arrays[start:stop]]
            ),
        )

    @property
    def size(self):
        """int. The number of values."""
        return math.prod(self.shape)

    @property
    def num_bytes(self):
        """int. The number of bytes that the values take."""
        return self.size * self.dtype.itemsize

    @property
    def num_rows(self):
        """int. The length of axis 0; 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    def __repr__(self):
        return f"LazyArray({self.source}, {self.shape}, {self.dtype})"

    def blocks(self, block_bytes=BLOCK_BYTES):
        """The ranges of rows in which to read the array, in order.

        Args:
            block_bytes: int. The most bytes a range of rows may take.

        Returns:
            A list of pairs `(start, stop)`.
        """
        rows = self.num_rows
        step = max(rows, 1)
        if self.cheap_rows and self.num_bytes > block_bytes:
            step = max(1, block_bytes * rows // self.num_bytes)
        return [
            (start, min(start + step, rows)) for start in range(0, rows, step)
        ]

    def copy_into(self, out):
        """Copies the whole array into `out`, casting to its type.

        Args:
            out: array of the same shape.
        """
        if not self.shape:
            out[...] = self._load(0, 1)
            return
        for start, stop in self.blocks():
            np.copyto(
                out[start:stop], self._load(start, stop), casting="unsafe"
            )

    def read(self):
        """Reads the whole array into fresh memory."""
        out = np.empty(self.shape, self.dtype)
        self.copy_into(out)
        return out

    def read_rows(self, start, stop):
        """Reads rows `start` to `stop` of axis 0 into fresh memory."""
        return np.array(self._load(start, stop))

    def view_rows(self, start, stop):
        """Rows `start` to `stop`, read-only; where possible not yet read.

        The result may stand for pages of a mapped file, which count as
        memory from when they are touched until the result is dropped.
        """
        return self._load(start, stop)

    def transposed(self, axes):
        """A view with the axes in the order `axes`."""
        axes = tuple(axes)
        if axes == tuple(range(len(self.shape))):
            return self

        def load(start, stop):
            if axes[0] == 0:
                return np.transpose(self._load(start, stop), axes)
            whole = self._load(0, self.num_rows)
            return np.transpose(whole, axes)[start:stop]

        return LazyArray(
            [self.shape[axis] for axis in axes],
            self.dtype,
            self.source,
            load,
            cheap_rows=self.cheap_rows and axes[0] == 0,
        )

    def reshaped(self, shape):
        """A view of the same values in another shape."""
        shape = tuple(shape)
        if math.prod(shape) != self.size:
            raise ValueError(
                f"{self.source} of shape {self.shape} cannot be seen as an "
                f"array of another size. Received: shape={shape}"
            )
        if shape == self.shape:
            return self
        same_rows = bool(self.shape and shape) and shape[0] == self.shape[0]

        def load(start, stop):
            if same_rows:
                rows = self._load(start, stop)
                return np.reshape(rows, (stop - start, *shape[1:]))
            whole = np.reshape(self._load(0, self.num_rows), shape)
            return whole[start:stop] if shape else whole

        return LazyArray(
            shape,
            self.dtype,
            self.source,
            load,
            cheap_rows=self.cheap_rows and same_rows,
        )

    def layer(self, index):
        """The view `array[index]` of a stacked array."""
        shape = self.shape[1:]

        def load(start, stop):
            one = self._load(index, index + 1)[0]
            return one[start:stop] if shape else one

        return LazyArray(
            shape, self.dtype, f"{self.source}[{index}]", load, self.cheap_rows
        )

    def rows(self, start, stop):
        """The view `array[start:stop]`."""
        if (start, stop) == (0, self.num_rows):
            return self
        return LazyArray(
            (stop - start, *self.shape[1:]),
            self.dtype,
            self.source,
            lambda first, last: self._load(start + first, start + last),
            self.cheap_rows,
        )

    def padded(self, num_rows):
        """The array with rows of zeros after its own, `num_rows` in all."""
        own = self.num_rows

        def load(start, stop):
            rows = np.zeros((stop - start, *self.shape[1:]), self.dtype)
            if start < own:
                end = min(stop, own)
                rows[: end - start] = self._load(start, end)
            return rows

        return LazyArray(
            (num_rows, *self.shape[1:]),
            self.dtype,
            self.source,
            load,
            self.cheap_rows,
        )


def mapped_array(path, offset, shape, dtype, source):
    """An uncompressed array in C order that lies in a file.

    Each block of rows is mapped on its own and unmapped when the view is
    dropped, so that pages of the file do not add up in memory.

    Args:
        path: path of the file.
        offset: int. Where in the file the first value lies, in bytes.
        shape: tuple of ints.
        dtype: `np.dtype`.
        source: str. The place, for errors.

    Returns:
        A `LazyArray`.
    """
    dtype = np.dtype(dtype)
    row_shape = tuple(shape[1:])
    row_bytes = math.prod(row_shape) * dtype.itemsize

    def load(start, stop):
        count = (stop - start,) if shape else ()
        if math.prod((*count, *row_shape)) == 0:
            return np.zeros((*count, *row_shape), dtype)
        return np.memmap(
            path,
            dtype=dtype,
            mode="r",
            offset=offset + start * row_bytes,
            shape=(*count, *row_shape),
        )

    return LazyArray(shape, dtype, source, load)


def same_values(first, second):
    """Whether two lazy arrays are equal, compared a block at a time."""
    if first.shape != second.shape:
        return False
    return all(
        np.array_equal(
            first.view_rows(start, stop), second.view_rows(start, stop)
        )
        for start, stop in first.blocks()
    )
