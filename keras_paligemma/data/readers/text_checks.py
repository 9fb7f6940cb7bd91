"""Faults in the texts of a record."""

import re

from keras_paligemma.data.languages import check_language
from keras_paligemma.data.problems import DataError
from keras_paligemma.tasks.detect import Detect
from keras_paligemma.tasks.segment import Segment

_LANGUAGE = re.compile(r"(?:caption|cap|describe) ([a-z]{2,3}(?:-\w+)*)", re.I)
_ASKED = re.compile(r"(?:answer|question) ([a-z]{2}) .*", re.DOTALL)
# A question in words of one's own may begin with one of these.
_NO_CODES = tuple("at by do go if me up us we".split())
_BOXED = {"detect ": Detect(), "segment ": Segment()}
_REGION = re.compile(r"caption (<loc.*)", re.DOTALL)
_NEARLY = re.compile(r"<(?:loc|seg)")
# Other problems are of answers that may be meant so.
_FAULTY_BOXES = (
    "cut_off",
    "extra_tokens",
    "faulty_label",
    "inside_out",
    "wrong_number_of_codes",
    "wrong_number_of_locations",
)


def check_texts(prefix, suffixes, location):
    """Raises `DataError` if the texts of a record are faulty.

    Args:
        prefix: str.
        suffixes: sequence of str.
        location: str. `file:line`.

    Raises:
        DataError: (a `ValueError`) If one is no text, if a language is asked
            for that is unknown, or if a box is inside out or incomplete.
    """
    for name, text in [("prefix", prefix), *(("suffix", s) for s in suffixes)]:
        if not isinstance(text, str):
            raise DataError(
                "wrong field",
                f"{location}: {name!r} must be a text. Received: "
                f"{type(text).__name__}.",
            )
    match = _LANGUAGE.fullmatch(prefix) or _ASKED.fullmatch(prefix)
    if match and match.group(1) not in _NO_CODES:
        check_language(match.group(1), location)
    region = _REGION.fullmatch(prefix)
    if region:
        _check_boxes(Detect(), region.group(1), location)
    for word, task in _BOXED.items():
        if prefix.startswith(word):
            for suffix in suffixes:
                _check_boxes(task, suffix, location)


def _check_boxes(task, text, location):
    for problem in task.parse(text).problems:
        malformed = problem.kind == "extra_text" and _NEARLY.search(
            problem.text
        )
        if problem.kind in _FAULTY_BOXES or malformed:
            raise DataError(
                "faulty box",
                f"{location}: a box must read <ymin><xmin><ymax><xmax>, from "
                "0000 to 1023, and not be inside out; a mask has 16 of "
                f"<seg000> to <seg127> behind it. Received: {problem.text!r}, "
                f"which is at fault: {problem.kind}.",
            )
