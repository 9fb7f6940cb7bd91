"""Weights are a table: rows of path, key and shape, read in both directions.

A row says which array of a checkpoint holds a variable of the backbone, and
how the array is laid out there:

    Row("decoder/block_{i}/attention/key_dense/kernel",
        "llm/layers/attn/kv_einsum/w",
        "layers 0/2 kv_heads dim head_dim", (0, 2, 1))

The shape is written in the words of `canonical.sizes`. Three words do more:
`layers` stands for a stack of all layers, of which the variable is number
`i`; `0/2` for an axis of length 2, of which it is number 0; `vocabulary+` for
at least so many rows, of which it is the first. What is left is transposed by
`axes` and reshaped to the shape of the variable. Every step has an inverse.
"""

import dataclasses
import re

from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints.arrays import LazyArray

MAX_PROBLEMS = 40


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table of weights.

    Args:
        path: str. A path of the backbone, with `{i}` for the layer.
        key: str. The key in the checkpoint, with `{i}` for the layer.
        shape: str. The shape that the array has in the checkpoint.
        axes: tuple of ints or `None`. How to transpose what is left of the
            shape after picking; `None` leaves it.
    """

    path: str
    key: str
    shape: str
    axes: tuple | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row for one layer, with the sizes of one model filled in."""

    path: str
    key: str
    source_shape: tuple
    picks: tuple
    axes: tuple
    canonical_shape: tuple
    at_least: bool

    def fits(self, shape):
        """Whether an array of this shape can be read."""
        if not self.at_least:
            return tuple(shape) == self.source_shape
        return (
            len(shape) == len(self.source_shape)
            and shape[0] >= self.source_shape[0]
            and tuple(shape[1:]) == self.source_shape[1:]
        )

    def read(self, array):
        """The variable, as a view of the array of the checkpoint."""
        if self.at_least:
            array = array.rows(0, self.source_shape[0])
        for index in self.picks:
            array = array.layer(index)
        return array.transposed(self.axes).reshaped(self.canonical_shape)

    def write(self, array):
        """The part of the checkpoint's array that the variable fills."""
        part = self.source_shape[len(self.picks) :]
        moved = tuple(part[axis] for axis in self.axes)
        back = tuple(self.axes.index(axis) for axis in range(len(self.axes)))
        return array.reshaped(moved).transposed(back)


def expand(table, source, arguments, components, ignored=(), origin=""):
    """Finds every variable of the backbone in the arrays of a checkpoint.

    Nothing is read: the result is views. All faults are reported together.

    Args:
        table: sequence of `Row`.
        source: dict of key to `LazyArray`. All arrays of the checkpoint.
        arguments: dict. Constructor arguments of the backbone.
        components: tuple of str. Which components to find.
        ignored: sequence of regular expressions. Keys that match one may be
            left unused.
        origin: str. The name of the checkpoint, for errors.

    Returns:
        A dict of path to `LazyArray`, each of the shape of the variable, in
        the order of the model.

    Raises:
        ValueError: if an array is missing, left over or of a wrong shape.
    """
    arrays, used, problems = {}, set(), []
    for entry in entries(table, arguments, components):
        array = source.get(entry.key)
        first_use = entry.key not in used
        used.add(entry.key)
        if array is None:
            if first_use:
                problems.append(
                    f"{origin}: {entry.key}: missing; expected shape "
                    f"{_shape_text(entry)} for {entry.path}"
                )
        elif not entry.fits(array.shape):
            if first_use:
                problems.append(
                    f"{array.source}: expected shape {_shape_text(entry)} for "
                    f"{entry.path}. Received: shape={array.shape}"
                )
        else:
            arrays[entry.path] = entry.read(array)
    patterns = [re.compile(pattern) for pattern in ignored]
    for key, array in source.items():
        if key in used or any(p.fullmatch(key) for p in patterns):
            continue
        problems.append(
            f"{array.source}: left over, no part of the model takes it. "
            f"Received: shape={array.shape}"
        )
    raise_problems(
        problems, f"The arrays of {origin} do not fit the model it describes"
    )
    return {
        path: arrays[path]
        for path in canonical.canonical_shapes(arguments, components)
    }


def invert(table, arrays, arguments, components):
    """The arrays of a checkpoint, from the variables of the backbone.

    Args:
        table: sequence of `Row`.
        arrays: dict of path to `LazyArray`, complete for `components`.
        arguments: dict. Constructor arguments of the backbone.
        components: tuple of str. Which components to write.

    Returns:
        A dict of key to `LazyArray`; nothing is read yet.

    Raises:
        ValueError: if a variable is missing, left over or of a wrong shape.
    """
    check_shapes(arrays, canonical.canonical_shapes(arguments, components))
    parts = {}
    for entry in entries(table, arguments, components):
        part = entry.write(arrays[entry.path])
        parts.setdefault(entry.key, {})[entry.picks] = part
    return {key: _stack(picked, key) for key, picked in parts.items()}


def check_shapes(arrays, shapes):
    """Compares paths and shapes of arrays with those expected.

    Args:
        arrays: mapping of path to anything with a `shape`.
        shapes: mapping of path to the expected shape.

    Raises:
        ValueError: that lists every path that is missing, left over or of a
            wrong shape.
    """
    problems = []
    for path, shape in shapes.items():
        if path not in arrays:
            problems.append(f"{path}: missing; expected shape {tuple(shape)}")
        elif tuple(arrays[path].shape) != tuple(shape):
            place = getattr(arrays[path], "source", path)
            problems.append(
                f"{place}: expected shape {tuple(shape)} for {path}. "
                f"Received: shape={tuple(arrays[path].shape)}"
            )
    for path in arrays:
        if path not in shapes:
            place = getattr(arrays[path], "source", path)
            problems.append(f"{place}: left over, no variable {path} is known")
    raise_problems(problems, "The arrays do not fit the variables")


def raise_problems(problems, headline):
    """Raises one `ValueError` that lists all problems, if there are any."""
    if not problems:
        return
    shown = problems[:MAX_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    raise ValueError(
        f"{headline}; nothing was loaded:\n  " + "\n  ".join(shown)
    )


def entries(table, arguments, components):
    """The rows of a table with layers and sizes filled in.

    Args:
        table: sequence of `Row`.
        arguments: dict. Constructor arguments of the backbone.
        components: tuple of str. Rows of other components are left out.

    Returns:
        A list of `Entry`, one for each variable of the components.

    Raises:
        ValueError: if the table does not cover each variable exactly once.
    """
    known = canonical.sizes(arguments)
    shapes = canonical.canonical_shapes(arguments, components)
    found = {}
    for row in table:
        if row.path.split("/")[0] not in components:
            continue
        if not canonical.is_used(row.path, arguments):
            continue
        layers = (0,)
        if "{i}" in row.path:
            layers = range(canonical.num_layers(row.path, known))
        for i in layers:
            path = row.path.format(i=i)
            if path in found or path not in shapes:
                raise ValueError(f"The table has no one row for {path}.")
            found[path] = _entry(row, i, known, shapes[path])
    uncovered = [path for path in shapes if path not in found]
    if uncovered:
        raise ValueError(f"The table has no rows for {uncovered}.")
    return list(found.values())


def _entry(row, i, known, canonical_shape):
    shape, picks = [], []
    for word in row.shape.split():
        if word == "layers":
            picks.append(i)
            shape.append(canonical.num_layers(row.path, known))
        elif "/" in word:
            index, length = word.split("/")
            picks.append(int(index))
            shape.append(int(length))
        else:
            shape.append(canonical.evaluate_size(word.rstrip("+"), known))
    return Entry(
        path=row.path.format(i=i),
        key=row.key.format(i=i),
        source_shape=tuple(shape),
        picks=tuple(picks),
        axes=row.axes or tuple(range(len(shape) - len(picks))),
        canonical_shape=canonical_shape,
        at_least=row.shape.split()[0].endswith("+"),
    )


def _stack(picked, key):
    """Joins the parts of one array, given by their leading indices."""
    if list(picked) == [()]:
        return picked[()]
    groups = {}
    for picks, part in picked.items():
        groups.setdefault(picks[0], {})[picks[1:]] = part
    if sorted(groups) != list(range(len(groups))):
        raise ValueError(f"The table fills only parts of {key}.")
    parts = [_stack(groups[index], key) for index in sorted(groups)]
    return LazyArray.stacked(parts, key)


def _shape_text(entry):
    text = str(entry.source_shape)
    return f"{text} or more rows" if entry.at_least else text
