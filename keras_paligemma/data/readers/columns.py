"""Data sets with named columns: Hugging Face `datasets`, TFDS."""

import re
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_paligemma.data.problems import DataError
from keras_paligemma.data.readers.text_checks import check_texts
from keras_paligemma.data.record import Record

_FIELD = re.compile(r"\{(\w+)\}")


class ColumnRecords(Sequence):
    """Records over anything with `len` and `[i] -> dict`.

    Args:
        dataset: A `datasets.Dataset`, a TFDS data source, a list of dicts.
        prefix, suffix: str. Templates with columns in braces. A template
            that is one column and nothing else, `"{captions}"`, may stand
            for a list, of which a mixture draws one each epoch.
        image: str, or sequence of str. The columns of images.
        task, source: str or `None`.

    Example:

    ```python
    records = read_columns(dataset, "answer en {question}", "{answer}")
    records[0].prefix  # "answer en how many cats?"
    ```
    """

    def __init__(
        self, dataset, prefix, suffix, image="image", task=None, source=None
    ):
        lacking = [
            method
            for method in ("__len__", "__getitem__")
            if not hasattr(dataset, method)
        ]
        if lacking:
            raise ValueError(
                "The data set must be a sequence of rows, with `len` and "
                f"`[i]`. Received: {type(dataset).__name__}, without "
                f"{lacking}. Load it as a whole, not as a stream."
            )
        if len(dataset) == 0:
            raise ValueError(
                "The data set must have examples. Received: an empty "
                f"{type(dataset).__name__}."
            )
        self.dataset = dataset
        self.prefix = prefix
        self.suffix = suffix
        self.images = (image,) if isinstance(image, str) else tuple(image)
        self.task = task
        self.source = source or type(dataset).__name__
        # `datasets` decodes the images of a row unless told which columns.
        columns = sorted(set(_FIELD.findall(prefix + suffix)))
        select = getattr(dataset, "select_columns", None)
        known = getattr(dataset, "column_names", None) or ()
        lacking = [c for c in (*columns, *self.images) if c not in known]
        if select is not None and lacking:
            raise ValueError(
                f"The data set must have the columns {lacking}. Received: "
                f"{list(known)}."
            )
        self._texts = select(columns) if select and columns else dataset
        self._separate = self._texts is not dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        location = f"{self.source}:{index}"
        row = self._texts[index]
        prefix = _fill(self.prefix, row, location)
        suffix = _fill(self.suffix, row, location)
        if isinstance(prefix, tuple):
            raise DataError(
                "wrong field",
                f"{location}: a prefix must be one text. Received: {prefix!r}.",
            )
        choices = suffix if isinstance(suffix, tuple) else ()
        if choices == () and not isinstance(suffix, str):
            raise DataError(
                "missing field",
                f"{location}: the list of suffixes {self.suffix!r} is empty.",
            )
        check_texts(prefix, choices or (suffix,), location)
        if self._separate:
            images = [ColumnImage(self.dataset, index, c) for c in self.images]
        else:
            images = [_value(row, c, location) for c in self.images]
        return Record(
            images=tuple(_as_image(image) for image in images),
            prefix=prefix,
            suffix=choices[0] if choices else suffix,
            task=self.task,
            source=self.source,
            location=location,
            choices=choices if len(choices) > 1 else (),
        )


class ColumnImage:
    """The image of one row, decoded when it is called."""

    def __init__(self, dataset, index, column):
        self.dataset = dataset
        self.index = index
        self.column = column

    def __call__(self):
        return _as_image(self.dataset[self.index][self.column])

    def __str__(self):
        return f"of row {self.index}, column {self.column!r},"


def read_columns(dataset, prefix, suffix, **kwargs):
    """The records of a data set with named columns.

    For a `datasets.Dataset` of Hugging Face, a random access data source of
    TFDS (`tfds.data_source(...)`), or any sequence of dicts.

    Args:
        dataset: Anything with `len` and `[i] -> dict`.
        prefix, suffix: str. Templates with columns in braces.
        **kwargs: `image`, `task` and `source` of `ColumnRecords`.

    Returns:
        `ColumnRecords`, a sequence of `Record`. A faulty row is an error (or
        replaced, in a mixture with `on_error="skip"`) when it is read.

    Example:

    ```python
    rows = [{"image": array, "question": "how many?", "answer": "2"}]
    records = read_columns(rows, "answer en {question}", "{answer}")
    ```
    """
    return ColumnRecords(dataset, prefix, suffix, **kwargs)


def _fill(template, row, location):
    """The text of a template; a tuple of texts for a column of lists."""

    def read(match):
        value = _value(row, match.group(1), location)
        try:
            return _as_text(value)
        except UnicodeDecodeError as error:
            raise DataError(
                "wrong field",
                f"{location}: the column {match.group(1)!r} must hold UTF-8: "
                f"{error}.",
            ) from error

    def read_one(match):
        text = read(match)
        if isinstance(text, str):
            return text
        raise DataError(
            "wrong field",
            f"{location}: a column within {template!r} must hold one text. "
            f"Received: {match.group(1)}={text!r:.80}.",
        )

    whole = _FIELD.fullmatch(template)
    return read(whole) if whole else _FIELD.sub(read_one, template)


def _value(row, column, location):
    if not isinstance(row, Mapping):
        raise DataError(
            "wrong field",
            f"{location}: a row must be a dict by column. Received: "
            f"{type(row).__name__}.",
        )
    value = row.get(column)
    if value is None:
        raise DataError(
            "missing field",
            f"{location}: there must be a value in the column {column!r}. "
            f"Received: {sorted(row)}.",
        )
    return value


def _as_text(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, (list, tuple)):
        return tuple(_as_text(item) for item in value)
    return str(value)


def _as_image(value):
    """Undoes the form of an image that `datasets` was told not to decode."""
    if isinstance(value, dict) and ("bytes" in value or "path" in value):
        return value.get("bytes") or value.get("path")
    return value
