"""`Problem`: what is amiss in a model's output."""

import dataclasses

# kind: what it means, and what parsing does about it.
PROBLEM_KINDS = {
    "cut_off": "the text ends inside a box, which is left out",
    "wrong_number_of_locations": (
        "fewer than four location tokens, the box is left out; or more, "
        "the first four are used"
    ),
    "wrong_number_of_codes": (
        "fewer than 16 segmentation tokens, the mask is left out; or more, "
        "the first 16 are used"
    ),
    "inside_out": "ymin > ymax or xmin > xmax, the box is left out",
    "extra_tokens": "tokens that belong to no box, left out",
    "extra_text": "text that belongs to no box, left out",
    "missing_separator": "no ' ; ' before the next box, which is kept",
    "trailing_separator": "a ' ; ' with nothing behind it, left out",
    "missing_label": "a box without a label, kept",
    "faulty_label": (
        "a label with a line break or with what is nearly a token, which no "
        "answer to learn would have, kept"
    ),
    "repeated": "the same box with the same label once more, kept",
    "not_asked_for": "a label that was not asked for, kept",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is amiss in a text, and where.

    Args:
        kind: str. A key of `PROBLEM_KINDS`.
        text: str. The part of the text that it is about.
        position: int. Where this part begins in the text.
    """

    kind: str
    text: str
    position: int
