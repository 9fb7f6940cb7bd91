"""What a label may look like, and how things are listed in a text."""

import re

SEPARATOR = " ; "
_PIECES_BLANK = "\u2581"  # what stands for a blank in SentencePiece's pieces
_TOKEN_LIKE = re.compile(r"<(?:loc|seg)\d*>?|<(?:eos|bos|pad)>")


def check_label(label):
    """Returns `label` if text that holds it can be read back.

    Raises:
        ValueError: If it has blanks around it, a line break, a location,
            segmentation or special token, a semicolon that stands alone, or
            the sign that tokenizers write for a blank.
    """
    fault = None
    if not isinstance(label, str):
        fault = "is no string"
    elif label != label.strip():
        fault = "has blanks around it"
    elif "\n" in label or "\r" in label:
        fault = "has a line break"
    elif _TOKEN_LIKE.search(label):
        fault = "looks like a token of the vocabulary"
    elif SEPARATOR in f" {label} ":
        fault = "has a semicolon that stands alone, which separates things"
    elif _PIECES_BLANK in label:
        fault = f"has {_PIECES_BLANK!r}, which the tokenizer takes for a blank"
    if fault:
        raise ValueError(
            "A label must be one line of text without blanks around it, "
            "without <loc> and <seg> tokens, and without a semicolon between "
            f"blanks. Received: label={label!r}, which {fault}."
        )
    return label


def check_things(things):
    """Returns the things to look for as a tuple of labels.

    Args:
        things: str or sequence of str.

    Raises:
        ValueError: If there are none, one is no valid label or empty, or two
            are the same.
    """
    things = (things,) if isinstance(things, str) else tuple(things)
    for thing in things:
        check_label(thing)
    if not things or "" in things or len(set(things)) < len(things):
        raise ValueError(
            "`things` must name at least one thing, each of them once. "
            f"Received: things={things!r:.200}"
        )
    return things


def write_things(word, things):
    """Writes a prefix such as `"detect cat ; dog"`."""
    return f"{word} {SEPARATOR.join(check_things(things))}"


def read_things(word, prefix):
    """Reads the things of a prefix such as `"detect cat ; dog"`.

    Raises:
        ValueError: If the prefix begins with another word or names nothing.
    """
    prefix = prefix.strip()
    body = prefix.removeprefix(f"{word} ")
    things = [thing.strip() for thing in f" {body} ".split(SEPARATOR)]
    things = tuple(dict.fromkeys(thing for thing in things if thing))
    if body == prefix or not things:
        raise ValueError(
            f"The prefix must be '{word} ', then things separated by "
            f"'{SEPARATOR}'. Received: prefix={prefix!r:.200}"
        )
    return things
