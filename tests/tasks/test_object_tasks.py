import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_paligemma.tasks import PROBLEM_KINDS
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Detect
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks import Segment
from tests.tasks import strategies

BOX = "<loc0000><loc0000><loc0512><loc1023>"
OTHER = "<loc0001><loc0002><loc0003><loc0004>"
INSIDE_OUT = "<loc0512><loc0000><loc0000><loc1023>"
CODES = "".join(f"<seg{index:03d}>" for index in range(16))


def assert_half_a_bin(found, expected):
    for edge, original in zip(found.yxyx, expected.yxyx, strict=True):
        assert abs(edge - original) <= 0.5 / 1023 + 1e-12
    assert found.label == expected.label


def test_suffixes_on_literals():
    box = Box(0, 0, 0.5, 1, "cat")
    assert Detect().suffix([]) == ""
    assert Detect().suffix([box]) == f"{BOX} cat"
    named = dataclasses.replace(box, label="hot dog")
    assert Detect().suffix([box, named]) == f"{BOX} cat ; {BOX} hot dog"
    assert Detect().suffix([dataclasses.replace(box, label="")]) == BOX
    assert Segment().suffix([Mask(box, range(16))]) == f"{BOX}{CODES} cat"


# Whitespace that `strip` knows but that is no line break may stand inside.
@given(st.lists(strategies.boxes(), max_size=4))
def test_boxes_come_back(boxes):
    found = Detect().parse(Detect().suffix(boxes))
    assert {problem.kind for problem in found.problems} <= {
        *("repeated", "missing_label")
    }
    assert len(found.boxes) == len(boxes)
    for box, original in zip(found.boxes, boxes, strict=True):
        assert_half_a_bin(box, original)


@given(st.lists(strategies.masks(), max_size=3))
def test_masks_come_back(masks):
    found = Segment().parse(Segment().suffix(masks))
    assert {problem.kind for problem in found.problems} <= {
        *("repeated", "missing_label")
    }
    assert len(found.masks) == len(masks)
    for mask, original in zip(found.masks, masks, strict=True):
        assert_half_a_bin(mask.box, original.box)
        assert mask.codes == original.codes


@pytest.mark.parametrize(
    "text, labels, kinds",
    [
        ("", [], []),
        (f"{BOX} cat", ["cat"], []),
        (f"{BOX} cat ; {OTHER} cat", ["cat", "cat"], []),
        (f"{BOX} cat ; {OTHER} dog\n", ["cat", "dog"], []),
        (f"{BOX} cat<eos><pad><pad>", ["cat"], []),
        (f"{BOX.replace('><', '> <')}cat", ["cat"], []),
        (f"{BOX} cat ; {BOX} cat", ["cat", "cat"], ["repeated"]),
        (f"{BOX} cow", ["cow"], ["not_asked_for"]),
        (BOX, [""], ["missing_label"]),
        (f"{BOX} ; {OTHER} cat", ["", "cat"], ["missing_label"]),
        # cut off
        (f"{BOX} cat ;", ["cat"], ["trailing_separator"]),
        (f"{BOX} cat ; {BOX[:9]}", ["cat"], ["cut_off"]),
        (f"{BOX} cat ; {BOX[:27]}", ["cat"], ["cut_off"]),
        (f"{BOX} cat ; <loc00", ["cat"], ["cut_off"]),
        (f"{BOX} cat<lo", ["cat<lo"], ["not_asked_for"]),
        (f"{BOX} cat<loc", ["cat"], ["cut_off"]),
        ("<loc12", [], ["cut_off"]),
        # tokens that should not be there
        (f"{BOX[:27]} cat", [], ["wrong_number_of_locations"]),
        (f"{BOX}<loc0000> cat", ["cat"], ["wrong_number_of_locations"]),
        (f"{BOX}{CODES} cat", ["cat"], ["extra_tokens"]),
        (f"{CODES} cat", [], ["extra_tokens"]),
        (f"{BOX}<seg000><loc0000> cat", ["cat"], ["extra_tokens"]),
        (
            "<loc1024><loc0000> cat",
            [],
            ["extra_text", "wrong_number_of_locations"],
        ),
        (f"{INSIDE_OUT} cat ; {BOX} dog", ["dog"], ["inside_out"]),
        # text that should not be there
        ("no cat", [], ["extra_text"]),
        (f"Here: {BOX} cat", ["cat"], ["extra_text"]),
        (f"{BOX} cat ; dog", ["cat"], ["extra_text"]),
        (f"{BOX} cat ; dog ; {OTHER} dog", ["cat", "dog"], ["extra_text"]),
        (f"{BOX} cat{OTHER} dog", ["cat", "dog"], ["missing_separator"]),
        (f"{BOX} cat;{OTHER} dog", ["cat", "dog"], ["missing_separator"]),
        (f"{BOX} cat<eos> and more", ["cat"], ["extra_text"]),
        # labels that no answer to learn would have
        (
            f"{BOX} cat\ndog",
            ["cat\ndog"],
            ["faulty_label", "not_asked_for"],
        ),
        (
            f"{BOX} cat<loc1024>",
            ["cat<loc1024>"],
            ["faulty_label", "not_asked_for"],
        ),
        (f"{BOX}<pad>", ["<pad>"], ["faulty_label", "not_asked_for"]),
    ],
)
def test_boxes_are_read_or_reported(text, labels, kinds):
    found = Detect().parse(text, things=["cat", "dog"])
    assert [box.label for box in found.boxes] == labels
    assert [problem.kind for problem in found.problems] == kinds
    for problem in found.problems:
        assert problem.text
        assert problem.kind in PROBLEM_KINDS


@pytest.mark.parametrize(
    "text, number, kinds",
    [
        (f"{BOX}{CODES} cat ; {OTHER}{CODES} cat", 2, []),
        (f"{BOX} cat", 0, ["wrong_number_of_codes"]),
        (f"{BOX}{CODES[:-8]} cat", 0, ["wrong_number_of_codes"]),
        (f"{BOX}{CODES}<seg000> cat", 1, ["wrong_number_of_codes"]),
        (f"{BOX}{CODES[:-8]}<seg128> cat", 0, ["wrong_number_of_codes"]),
        (f"{BOX}{CODES[:-8]}", 0, ["cut_off"]),
        (BOX, 0, ["cut_off"]),
        (f"{BOX}{CODES}<loc0000> cat", 1, ["extra_tokens"]),
        (f"{INSIDE_OUT}{CODES} cat", 0, ["inside_out"]),
        (f"{BOX}{CODES} cat ; {BOX}{CODES} cat", 2, ["repeated"]),
        # RefCOCO's form has no label.
        (f"{BOX}{CODES}", 1, []),
    ],
)
def test_masks_are_read_or_reported(text, number, kinds):
    found = Segment().parse(text)
    assert len(found.masks) == len(found.boxes) == number
    assert [problem.kind for problem in found.problems] == kinds


FRAGMENTS = [
    *("<loc0000>", "<loc0512>", "<loc1023>", "<loc1024>", "<seg000>"),
    *("<seg999>", BOX, CODES, " ; ", ";", " ", "cat", "<loc", "<eos>", "\n"),
]


@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3))))
def test_no_text_makes_parsing_fail(fragments):
    text = "".join(fragments)
    for task in (Detect(), Segment()):
        found = task.parse(text, things="cat")
        for problem in found.problems:
            assert problem.kind in PROBLEM_KINDS
            assert problem.text in text
            assert text.find(problem.text, problem.position) >= 0
        # What is found can be written and then has nothing amiss in form.
        if all(strategies.is_label(box.label) for box in found.boxes):
            written = task.suffix(getattr(found, "masks", found.boxes))
            again = task.parse(written, things="cat")
            assert again.boxes == found.boxes


FRAGMENTS = st.one_of(
    st.sampled_from([BOX, OTHER, CODES, " ; ", " cat", ";", "<loc1024>"]),
    st.sampled_from(
        ["\n", "<pad>", "<eos>", "<loc", "<seg128>", "\u2581", " "]
    ),
    st.text(max_size=3),
)


@given(st.lists(FRAGMENTS, max_size=8).map("".join))
def test_what_is_read_without_a_problem_can_be_written(text):
    for task in (Detect(), Segment()):
        found = task.parse(text)
        if not found.problems:
            things = found.boxes if task.name == "detect" else found.masks
            assert task.parse(task.suffix(things)) == found


def test_where_a_problem_is():
    text = f"{BOX} cat ; {BOX} cow"
    (problem,) = Detect().parse(text, things=("cat",)).problems
    assert problem.position == text.rindex("<loc0000><loc0000>")
    assert problem.text == "cow"


@pytest.mark.parametrize(
    "label",
    [
        *("a ; b", ";", "; a", "a ;", " a", "a ", "a\nb"),
        *("<loc0001>", "x<seg001>", "\u2581cat"),
    ],
)
def test_labels_that_cannot_be_read_back(label):
    for write in (
        lambda: Detect().suffix([Box(0, 0, 1, 1, label)]),
        lambda: Detect().prefix(label),
        lambda: Segment().prefix(["cat", label]),
    ):
        with pytest.raises(ValueError, match="Received: label="):
            write()


@pytest.mark.parametrize("things", [[], "", ["cat", "cat"], ["cat", ""]])
def test_prefixes_without_things_or_with_one_twice(things):
    with pytest.raises(ValueError, match="Received: things="):
        Detect().prefix(things)


@given(st.lists(strategies.labels.filter(bool), min_size=1, unique=True))
def test_things_come_back(things):
    for task in (Detect(), Segment()):
        prefix = task.prefix(things)
        assert task.read_prefix(prefix) == {"things": tuple(things)}
