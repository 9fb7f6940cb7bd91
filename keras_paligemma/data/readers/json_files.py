"""Reads JSON files of annotations, with errors that name them."""

import json
import os

from keras_paligemma.data.problems import DataError


def load_json(path, keys):
    """Reads a JSON object from a file.

    Args:
        path: str or path.
        keys: sequence of str. The lists that it must hold.

    Returns:
        dict.

    Raises:
        ValueError: If it is no JSON object, or a list is missing.
    """
    name = os.fspath(path)
    try:
        with open(name, encoding="utf-8") as file:
            data = json.load(file)
    except ValueError as error:
        raise ValueError(f"{name}: the file is no JSON: {error}.") from error
    missing = [
        key
        for key in keys
        if not isinstance(data, dict) or not isinstance(data.get(key), list)
    ]
    if missing:
        received = sorted(data) if isinstance(data, dict) else type(data)
        raise ValueError(
            f"{name}: the file must be a JSON object with the lists "
            f"{list(keys)}. Received: {received}, without {missing}."
        )
    return data


def require(fields, key, location):
    """The value of a field; `DataError` if there is none."""
    value = fields.get(key)
    if value is None:
        raise DataError(
            "missing field",
            f"{location}: there must be a field {key!r}. Received: "
            f"{sorted(fields)}.",
        )
    return value
