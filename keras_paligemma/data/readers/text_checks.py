"""Faults in the texts of a record."""

import re

from keras_paligemma.data.languages import check_language
from keras_paligemma.data.problems import DataError

_LOCATION = re.compile(r"<loc(\d{4})>" * 4)
_LANGUAGE = re.compile(r"(?:caption|cap|describe) ([a-z]{2,3}(?:-\w+)*)")
_BOXED = ("detect ", "segment ")


def check_texts(prefix, suffixes, location):
    """Raises `DataError` if the texts of a record are faulty.

    Args:
        prefix: str.
        suffixes: sequence of str.
        location: str. `file:line`.

    Raises:
        DataError: (a `ValueError`) If one is no text, if a caption is asked
            for in an unknown language, or if a box is inside out.
    """
    for name, text in [("prefix", prefix), *(("suffix", s) for s in suffixes)]:
        if not isinstance(text, str):
            raise DataError(
                "wrong field",
                f"{location}: {name!r} must be a text. Received: "
                f"{type(text).__name__}.",
            )
    match = _LANGUAGE.fullmatch(prefix)
    if match:
        check_language(match.group(1), location)
    if prefix.startswith(_BOXED):
        for suffix in suffixes:
            _check_boxes(suffix, location)


def _check_boxes(suffix, location):
    for match in _LOCATION.finditer(suffix):
        ymin, xmin, ymax, xmax = map(int, match.groups())
        if ymin > ymax or xmin > xmax or max(ymax, xmax) > 1023:
            raise DataError(
                "faulty box",
                f"{location}: a box must read <ymin><xmin><ymax><xmax>, from "
                "0000 to 1023, and not be inside out. Received: "
                f"{match.group()}.",
            )
