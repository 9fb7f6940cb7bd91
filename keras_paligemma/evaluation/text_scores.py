"""Texts against what they should be: exact match and character error.

Character errors are counted by `rapidfuzz`, which is imported when it is
needed; it comes with `pip install keras-paligemma[evaluation]`.
"""

import unicodedata

import numpy as np


def normalize_text(text):
    """The form in which texts are compared.

    Composed characters (Unicode's NFC), one blank where there are several or
    a line break, none around the text. Case and punctuation count.

    Example:

    ```python
    normalize_text(" a  red\\ncircle ")  # "a red circle"
    ```
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def exact_matches(predictions, references, normalize=normalize_text):
    """Whether each text is one of those that are right.

    Args:
        predictions: sequence of str.
        references: sequence of str, or of sequences of str that are equally
            right. As many as predictions.
        normalize: callable. Of a str, applied to both sides.

    Returns:
        bool array `[num_texts]`.

    Raises:
        ValueError: If the lengths differ.
    """
    check_lengths(predictions, references)
    return np.array(
        [
            normalize(text) in {normalize(one) for one in as_choices(right)}
            for text, right in zip(predictions, references, strict=True)
        ],
        bool,
    )


def exact_match(predictions, references, normalize=normalize_text):
    """The share of texts that are right: see `exact_matches`."""
    return share(exact_matches(predictions, references, normalize))


def character_errors(prediction, reference):
    """Counts the characters that are wrong in a text.

    Insertions, deletions and substitutions of code points, the fewest that
    turn one text into the other (Levenshtein). Both are composed (NFC) and
    lose the blanks around them; line breaks count as characters.

    Args:
        prediction: str.
        reference: str, or a sequence of str that are equally right: then the
            one with the fewest errors counts.

    Returns:
        A tuple of int: the errors, and the characters of the reference.

    Raises:
        ImportError: If rapidfuzz is missing.

    Example:

    ```python
    character_errors("EXTT 1", "EXIT 12")  # (2, 7)
    ```
    """
    distance = _levenshtein()
    text = _composed(prediction)
    choices = [_composed(one) for one in as_choices(reference)]
    return min((distance(text, one), len(one)) for one in choices)


def character_error_rate(predictions, references):
    """Wrong characters of all texts over the characters of all references.

    Above 1 if much is written that is not there. Where no reference has any
    character, the number of characters that should not be there.

    Args:
        predictions: sequence of str.
        references: sequence of str, or of sequences of str.

    Returns:
        float.

    Raises:
        ValueError: If the lengths differ.
        ImportError: If rapidfuzz is missing.
    """
    check_lengths(predictions, references)
    counts = [
        character_errors(text, right)
        for text, right in zip(predictions, references, strict=True)
    ]
    errors, characters = np.sum(counts, axis=0) if counts else (0, 0)
    return float(errors / max(1, characters))


def share(values):
    """The mean of an array as a float; 0.0 of none."""
    return float(np.mean(values)) if len(values) else 0.0


def as_choices(reference):
    """One text, or several that are equally right, as a tuple."""
    return (reference,) if isinstance(reference, str) else tuple(reference)


def check_lengths(predictions, references):
    """Raises `ValueError` unless there are as many of one as of the other."""
    if len(predictions) != len(references):
        raise ValueError(
            "There must be one prediction for each reference. Received: "
            f"{len(predictions)} predictions, {len(references)} references"
        )


def _composed(text):
    return unicodedata.normalize("NFC", text).strip()


def _levenshtein():
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise ImportError(
            "Character errors are counted by rapidfuzz. Install it with "
            "`pip install keras-paligemma[evaluation]`."
        ) from error
    return Levenshtein.distance
