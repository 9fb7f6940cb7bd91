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
    except (ValueError, RecursionError) as error:
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


def require_text(fields, key, location):
    """The text of a field, without blanks around it.

    Raises:
        DataError: If there is none, or nothing in it.
    """
    value = require(fields, key, location)
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            "wrong field",
            f"{location}: the field {key!r} must be a text that is not empty. "
            f"Received: {value!r:.80}.",
        )
    return value.strip()


def require_id(fields, key, location):
    """The id in a field: a number or a text.

    Raises:
        DataError: If there is none, or something else.
    """
    value = require(fields, key, location)
    if not isinstance(value, (int, str)):
        raise DataError(
            "wrong field",
            f"{location}: the field {key!r} must be a number or a text. "
            f"Received: {value!r:.80}.",
        )
    return value


def require(fields, key, location):
    """The value of a field; `DataError` if there is none."""
    if not isinstance(fields, dict):
        raise DataError(
            "wrong field",
            f"{location}: there must be an object with a field {key!r}. "
            f"Received: {fields!r:.80}.",
        )
    value = fields.get(key)
    if value is None:
        raise DataError(
            "missing field",
            f"{location}: there must be a field {key!r}. Received: "
            f"{sorted(fields)}.",
        )
    return value
