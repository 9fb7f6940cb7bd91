"""Writes and reads lists of labelled boxes and masks, whatever the text."""

import re

from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.labels import SEPARATOR
from keras_paligemma.tasks.labels import check_label
from keras_paligemma.tasks.locations import LOCATION_PATTERN
from keras_paligemma.tasks.locations import read_locations
from keras_paligemma.tasks.mask import NUM_CODES
from keras_paligemma.tasks.mask import SEGMENTATION_PATTERN
from keras_paligemma.tasks.mask import Mask
from keras_paligemma.tasks.mask import read_codes
from keras_paligemma.tasks.problems import Problem

_TOKEN = f"(?:{LOCATION_PATTERN}|{SEGMENTATION_PATTERN})"
# Some detokenizers put blanks between tokens.
_RUN = re.compile(f"{_TOKEN}(?: *{_TOKEN})*")
_RUN_PARTS = re.compile(
    f"(?P<locations>(?:{LOCATION_PATTERN} *)*)"
    f"(?P<codes>(?:{SEGMENTATION_PATTERN} *)*)(?P<rest>.*)"
)
_END = re.compile("<eos>.*", re.DOTALL)
_PADDING = re.compile("(?:<eos>|<pad>|\\s)*")
# A token of which the end is missing.
_CUT_TOKEN = re.compile(r"<(?:loc|seg)\d*$")


def write_objects(objects):
    """Writes boxes or masks as the suffix of a task.

    Args:
        objects: iterable of `Box` or `Mask`. In the order to write them.

    Returns:
        str. Empty if there are no objects.

    Raises:
        ValueError: If a label could not be read back.
    """
    return SEPARATOR.join(
        thing.tokens() + label_text(thing.label) for thing in objects
    )


def label_text(label):
    """What follows the tokens of an object: a blank and its label."""
    return f" {check_label(label)}" if label else ""


def read_objects(text, with_codes, things=None):
    """Reads boxes or masks; whatever is amiss becomes a problem.

    A label reaches to the next location token or to the end of the text, less
    the separator; so a semicolon may be in it unless it stands alone.

    Args:
        text: str. The output of a model.
        with_codes: bool. Whether to read masks rather than boxes.
        things: sequence of str or `None`. What was asked for, if known.

    Returns:
        A tuple of the objects and the problems, both lists.
    """
    problems = []
    text = _cut_at_end(text, problems)
    runs = list(_RUN.finditer(text))
    begin = runs[0].start() if runs else len(text)
    _read_unlocated(text[:begin], 0, not runs, problems)
    objects = []
    for index, run in enumerate(runs):
        last = index + 1 == len(runs)
        end = len(text) if last else runs[index + 1].start()
        gap = text[run.end() : end]
        at_end = last and not gap.strip()
        found = _read_run(run, with_codes, at_end, problems)
        label = _read_gap(gap, run.end(), last, problems)
        if found is None:
            continue
        edges, codes = found
        if edges[0] > edges[2] or edges[1] > edges[3]:
            problems.append(Problem("inside_out", run.group(), run.start()))
            continue
        box = Box(*edges, label=label)
        whole = text[run.start() : end]
        objects.append((Mask(box, codes) if with_codes else box, whole, run))
    _compare(objects, things, problems)
    problems.sort(key=lambda problem: problem.position)
    return [thing for thing, _, _ in objects], problems


def _cut_at_end(text, problems):
    end = _END.search(text)
    if end is None:
        return text.rstrip("\n")
    if not _PADDING.fullmatch(end.group()):
        problems.append(Problem("extra_text", end.group(), end.start()))
    return text[: end.start()]


def _read_run(run, with_codes, at_end, problems):
    """Reads a run of tokens as edges and codes, or as `None`."""

    def report(kind):
        problems.append(Problem(kind, run.group(), run.start()))

    parts = _RUN_PARTS.fullmatch(run.group())
    edges = read_locations(parts["locations"])
    codes = read_codes(parts["codes"])
    cut = at_end and not parts["rest"]
    if not edges:
        report("extra_tokens")
        return None
    if len(edges) < 4:
        cut = cut and not codes
        report("cut_off" if cut else "wrong_number_of_locations")
        return None
    if len(edges) > 4:
        report("wrong_number_of_locations")
    if with_codes and len(codes) < NUM_CODES:
        report("cut_off" if cut else "wrong_number_of_codes")
        return None
    if with_codes and len(codes) > NUM_CODES:
        report("wrong_number_of_codes")
    if parts["rest"] or (codes and not with_codes):
        report("extra_tokens")
    return edges[:4], codes[:NUM_CODES]


def _read_gap(gap, position, last, problems):
    """Reads what stands between two runs of tokens; returns the label."""
    label, *others = f"{gap} ".split(SEPARATOR)
    separated = bool(others)
    *others, rest = others or [""]
    for other in others:
        # A thing without a box, behind one that has one.
        if other.strip():
            problems.append(Problem("extra_text", other, position))
    if rest.strip():
        cut = last and _CUT_TOKEN.fullmatch(rest.strip())
        kind = "cut_off" if cut else "extra_text"
        problems.append(Problem(kind, rest.strip(), position))
        separated = cut or last
    elif last and separated:
        problems.append(Problem("trailing_separator", gap, position))
    label = label.strip()
    if not last and not separated:
        problems.append(Problem("missing_separator", gap, position))
        label = label.removesuffix(";").rstrip()
    if last and not separated:
        cut = _CUT_TOKEN.search(label)
        if cut:
            problems.append(Problem("cut_off", cut.group(), position))
            label = label[: cut.start()].rstrip()
    return label


def _read_unlocated(text, position, alone, problems):
    if not text.strip():
        return
    cut = alone and _CUT_TOKEN.fullmatch(text.strip())
    kind = "cut_off" if cut else "extra_text"
    problems.append(Problem(kind, text, position))


def _compare(objects, things, problems):
    """Reports repeated objects and labels that should not be there."""

    def is_faulty(label):
        try:
            check_label(label)
        except ValueError:
            return True
        return False

    labelled = things is not None or any(item[0].label for item in objects)
    seen = set()
    for thing, whole, run in objects:
        if thing in seen:
            problems.append(Problem("repeated", whole, run.start()))
        seen.add(thing)
        if is_faulty(thing.label):
            problems.append(Problem("faulty_label", thing.label, run.start()))
        if not thing.label:
            if labelled:
                problems.append(Problem("missing_label", whole, run.start()))
        elif things is not None and thing.label not in things:
            problems.append(Problem("not_asked_for", thing.label, run.start()))
