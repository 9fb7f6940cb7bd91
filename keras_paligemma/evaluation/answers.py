"""Answers to questions, and questions to answers."""

import numpy as np

from keras_paligemma.data.synthetic import is_valid_question
from keras_paligemma.evaluation.text_scores import as_choices
from keras_paligemma.evaluation.text_scores import check_lengths
from keras_paligemma.evaluation.text_scores import exact_matches
from keras_paligemma.evaluation.text_scores import normalize_text


def normalize_answer(answer):
    """The form in which answers are compared.

    As `normalize_text`, without regard to case, and without a period,
    exclamation or question mark at the end.

    Example:

    ```python
    normalize_answer("Yes.")  # "yes"
    ```
    """
    return normalize_text(answer).casefold().rstrip(".!?").rstrip()


def normalize_list_answer(answer):
    """As `normalize_answer`, the items between commas in sorted order.

    Example:

    ```python
    normalize_list_answer("star, circle")  # "circle, star"
    ```
    """
    items = (item.strip() for item in normalize_answer(answer).split(","))
    return ", ".join(sorted(items))


def correct_answers(predictions, references, ordered=True):
    """Whether each answer is right.

    Args:
        predictions: sequence of str.
        references: sequence of str, or of sequences of str that are equally
            right.
        ordered: bool. Whether a list ("circle, star") must come in the order
            of the reference.

    Returns:
        bool array `[num_answers]`.

    Raises:
        ValueError: If the lengths differ.
    """
    normalize = normalize_answer if ordered else normalize_list_answer
    return exact_matches(predictions, references, normalize)


def valid_questions(questions, scenes, answers, languages):
    """Whether each question about a synthetic scene has the given answer.

    A question is valid if it is, word for word, one of the kinds that the
    synthetic world asks, in the right language, and the scene's truth gives
    the answer; it need not be the question that the record asks.

    Args:
        questions: sequence of str. What a model asks.
        scenes: sequence of `Scene`.
        answers: sequence of str. The English answers that were given.
        languages: sequence of str or `None`. What to ask in; `None` for any.

    Returns:
        bool array `[num_questions]`.

    Raises:
        ValueError: If the lengths differ.
    """
    for others in (scenes, answers, languages):
        check_lengths(questions, others)
    rows = zip(questions, scenes, answers, languages, strict=True)
    return np.array(
        [
            is_valid_question(scene, question, answer, language)
            for question, scene, answer, language in rows
        ],
        bool,
    )


def references_of(record):
    """The texts that are right for a record, a tuple of str."""
    return as_choices(record.choices or record.suffix)
