"""Texts and answers against values counted by hand, and by other means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

from keras_paligemma.data.synthetic import LANGUAGES
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.evaluation.answers import correct_answers
from keras_paligemma.evaluation.answers import valid_questions
from keras_paligemma.evaluation.text_scores import character_error_rate
from keras_paligemma.evaluation.text_scores import character_errors
from keras_paligemma.evaluation.text_scores import exact_match
from keras_paligemma.evaluation.text_scores import exact_matches


def edit_distance(first, second):
    """The table of the textbook."""
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    table[:, 0] = np.arange(len(first) + 1)
    table[0, :] = np.arange(len(second) + 1)
    for i, a in enumerate(first, start=1):
        for j, b in enumerate(second, start=1):
            table[i, j] = min(
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (a != b),
            )
    return table[-1, -1]


SHORT = strategies.text(alphabet="abcö😀Ж", max_size=9)


@settings(max_examples=80, deadline=None)
@given(SHORT, SHORT)
def test_character_errors_are_the_edit_distance_on_code_points(first, second):
    expected = (edit_distance(first, second), len(second))
    assert character_errors(first, second) == expected


@pytest.mark.parametrize(
    "prediction, reference, expected",
    [
        ("kitten", "sitting", (3, 7)),
        ("EXTT 1", "EXIT 12", (2, 7)),
        ("a b", "a\nb", (1, 3)),
        (" a\n", "a", (0, 1)),
        # e and an accent against the one character.
        ("cafe\u0301", "caf\u00e9", (0, 4)),
        ("😀", "x", (1, 1)),
        ("abc", "", (3, 0)),
        ("cat", ("a dog", "cut"), (1, 3)),
    ],
)
def test_character_errors(prediction, reference, expected):
    assert character_errors(prediction, reference) == expected


def test_the_error_rate_is_of_the_whole_corpus():
    # 1 of 1 and 1 of 9: not the mean of the rates.
    rate = character_error_rate(["b", "abcdefghx"], ["a", "abcdefghi"])
    assert rate == pytest.approx(2 / 10)
    assert character_error_rate([], []) == 0.0
    assert character_error_rate(["xyz", ""], ["", ""]) == 3.0


@pytest.mark.parametrize(
    "prediction, reference, right",
    [
        ("a  red circle ", "a red circle", True),
        ("A red circle", "a red circle", False),
        ("a red circle.", "a red circle", False),
        ("e\u0301toile", "\u00e9toile", True),
        ("two", ("one", "two"), True),
        ("", "a", False),
    ],
)
def test_exact_match(prediction, reference, right):
    assert exact_matches([prediction], [reference]).tolist() == [right]


def test_exact_match_is_a_share():
    assert exact_match(["a", "b", "c"], ["a", "x", "c"]) == pytest.approx(2 / 3)
    assert exact_match([], []) == 0.0
    with pytest.raises(ValueError, match="1 predictions, 2 references"):
        exact_match(["a"], ["a", "b"])


@pytest.mark.parametrize(
    "prediction, reference, ordered, unordered",
    [
        ("Yes.", "yes", True, True),
        ("2", "two", False, False),
        ("star, circle", "circle, star", False, True),
        ("circle", "circle, star", False, False),
        ("circle, circle, star", "circle, star", False, False),
        ("sí", "sí", True, True),
        ("si", "sí", False, False),
    ],
)
def test_answers(prediction, reference, ordered, unordered):
    assert correct_answers([prediction], [reference])[0] == ordered
    found = correct_answers([prediction], [reference], ordered=False)
    assert found[0] == unordered


def test_questions_of_every_language_are_judged_by_the_scene():
    world = SyntheticWorld(64, seed=2, split="test", languages=LANGUAGES)
    records = list(world.task("question", 60))
    assert {record.language for record in records} == set(LANGUAGES)
    scenes = [record.scene for record in records]
    answers = [record.answer for record in records]
    languages = [record.language for record in records]
    questions = [record.question for record in records]
    assert valid_questions(questions, scenes, answers, languages).all()
    # In a language that was not asked for, or not a question at all.
    others = languages[1:] + languages[:1]
    same = [a == b for a, b in zip(languages, others, strict=True)]
    found = valid_questions(questions, scenes, answers, others)
    assert found.tolist() == same
    assert not valid_questions(["?"] * 60, scenes, answers, languages).any()
    # Another scene gives another answer to most.
    moved = scenes[1:] + scenes[:1]
    assert valid_questions(questions, moved, answers, languages).mean() < 0.6


def test_another_question_with_the_right_answer_is_valid():
    world = SyntheticWorld(64, seed=2, split="test")
    scene = world.scene(0)
    kind = scene.objects[0].kind
    questions = [f"Is {article} {kind} there?" for article in ("a", "an")]
    assert not valid_questions(
        questions, [scene] * 2, ["yes"] * 2, ["en"] * 2
    ).any()
    question = f"Which of these are in the image: {kind}?"
    found = valid_questions(
        [question] * 3, [scene] * 3, [kind, "none", kind], ["en", "en", None]
    )
    assert found.tolist() == [True, False, True]
