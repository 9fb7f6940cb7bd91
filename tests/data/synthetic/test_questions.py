"""Questions, answered again by counting in the truth."""

import numpy as np
import pytest

from keras_paligemma.data.synthetic import LANGUAGES
from keras_paligemma.data.synthetic import QUESTION_KINDS
from keras_paligemma.data.synthetic import PlacedObject
from keras_paligemma.data.synthetic import Scene
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic import answer_question
from keras_paligemma.data.synthetic import is_valid_question
from keras_paligemma.data.synthetic.questions import sample_question


def placed(colour, kind, y, x):
    mask = np.zeros((10, 10), bool)
    mask[int(10 * y), int(10 * x)] = True
    box = (y - 0.05, x - 0.05, y + 0.05, x + 0.05)
    return PlacedObject(kind, colour, mask, box, 1.0, 0, 1.0, 0.0, False, ())


SCENE = Scene(
    image=np.zeros((10, 10, 3), np.uint8),
    objects=(
        placed("red", "circle", 0.2, 0.2),
        placed("blue", "circle", 0.8, 0.7),
        placed("red", "star", 0.5, 0.6),
    ),
    words=(),
    background="flat",
)


@pytest.mark.parametrize(
    "language, question, answer",
    [
        ("en", "What objects are in the image?", "circle, star"),
        ("en", "Is there a red circle in the image?", "yes"),
        ("en", "Is there a blue star in the image?", "no"),
        ("en", "Is there an umbrella in the image?", "no"),
        ("en", "Which of these are in the image: cat, star, circle?",
         "star, circle"),
        ("en", "Which of these are in the image: cat, key?", "none"),
        ("en", "How many circles are in the image?", "2"),
        ("en", "How many red circles are in the image?", "1"),
        ("en", "How many cats are in the image?", "0"),
        ("en", "What color is the star?", "red"),
        ("en", "What color is the circle?", None),
        ("en", "Is the red circle to the left of the star?", "yes"),
        ("en", "Is the red circle to the right of the star?", "no"),
        ("en", "Is the star above the blue circle?", "yes"),
        ("en", "Is the red circle below the star?", "no"),
        ("en", "Is the circle below the star?", None),
        ("en", "How many circles is in the image?", None),
        ("en", "How many unicorns are in the image?", None),
        ("de", "Gibt es einen roten Stern im Bild?", "ja"),
        ("de", "Welche Farbe hat der Stern?", "rot"),
        ("de", "Ist der Stern über dem blauen Kreis?", "ja"),
        ("fr", "Combien de cercles y a-t-il dans l'image ?", "2"),
        ("fr", "Combien d'étoiles rouges y a-t-il dans l'image ?", "1"),
        ("fr", "Est-ce que l'étoile est à gauche du cercle rouge ?", "non"),
        ("es", "¿Cuántas estrellas hay en la imagen?", "1"),
        ("es", "¿De qué color es la estrella?", "rojo"),
        ("it", "C'è una stella rossa nell'immagine?", "sì"),
        ("it", "È vero che la stella è più in alto del cerchio blu?", "sì"),
        ("pt", "Quais destes objetos há na imagem: gato?", "nenhum"),
    ],
)  # fmt: skip
def test_answers(language, question, answer):
    assert answer_question(SCENE, question, language) == answer


@pytest.mark.parametrize(
    "question, answer, valid",
    [
        ("How many circles are in the image?", "2", True),
        ("How many circles are in the image?", "3", False),
        ("Combien de cercles y a-t-il dans l'image ?", "2", True),
        ("De quelle couleur est l'étoile ?", "red", True),
        ("De quelle couleur est l'étoile ?", "rouge", False),
        ("What objects are in the image?", "star, circle", True),
        ("What objects are in the image?", "star", False),
        ("What color is the circle?", "red", False),
        ("Why?", "2", False),
    ],
)
def test_valid_questions(question, answer, valid):
    assert is_valid_question(SCENE, question, answer) is valid


def test_a_valid_question_may_have_to_be_in_its_language():
    question = "How many circles are in the image?"
    assert is_valid_question(SCENE, question, "2", "en")
    assert not is_valid_question(SCENE, question, "2", "de")


def count_again(scene, question):
    """The English answers, by other means: splitting words and counting."""
    objects = [(o.colour, o.kind) for o in scene.objects]
    words = question.rstrip("?").replace("lightning bolt", "bolt")
    if question.startswith("How many"):
        asked = words.split(" are in")[0].split()[2:]
        singular = {"fish": "fish", "leaves": "leaf", "crosses": "cross"}
        kind = singular.get(asked[-1], asked[-1].removesuffix("s"))
        found = [o for o in objects if o[1] == kind]
        return str(sum(asked[0] in (o[0], asked[-1]) for o in found))
    if question.startswith("Is there"):
        asked = words.split(" in the image")[0].split()[3:]
        return "yes" if any(set(asked) <= set(o) for o in objects) else "no"
    if question.startswith("What color"):
        (colour,) = [o[0] for o in objects if o[1] == words.split()[-1]]
        return colour
    if question.startswith("Which"):
        asked = words.split(": ")[1].split(", ")
        there = [k for k in asked if any(k == o[1] for o in objects)]
        return ", ".join(there) or "none"
    if question.startswith("What objects"):
        return ", ".join(dict.fromkeys(o[1] for o in objects))
    for side in ("to the left of", "to the right of", "above", "below"):
        if f" {side} " not in words:
            continue
        ends = []
        for part in words.removeprefix("Is the ").split(f" {side} the "):
            names = set(part.split())
            (one,) = [o for o in scene.objects if names <= {o.colour, o.kind}]
            ends.append(one.box)
        # Twice the middles, x then y.
        first, second = ((b[1] + b[3], b[0] + b[2]) for b in ends)
        held = {
            "to the left of": first[0] < second[0],
            "to the right of": first[0] > second[0],
            "above": first[1] < second[1],
            "below": first[1] > second[1],
        }
        return "yes" if held[side] else "no"
    raise ValueError(question)


def test_questions_are_answered_right_by_an_independent_count():
    world = SyntheticWorld(seed=5)
    counts = {}
    for index in range(250):
        record = world.example(index, "answer")
        expected = count_again(record.scene, record.question)
        got = record.answer.replace("lightning bolt", "bolt")
        assert got == expected, record.question
        start = " ".join(record.question.split()[:2])
        counts.setdefault(start, set()).add(got)
    assert {"How many", "Is there", "What color", "Which of"} <= set(counts)
    assert {"What objects", "Is the"} <= set(counts)
    assert counts["Is there"] == counts["Is the"] == {"yes", "no"}
    assert {"0", "1", "2", "3"} <= counts["How many"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_reads_back_in_every_language(language):
    rng = np.random.default_rng(1)
    for kind in QUESTION_KINDS:
        question, answer, english = sample_question(rng, SCENE, language, kind)
        assert answer_question(SCENE, question, language) == answer
        assert is_valid_question(SCENE, question, english, language)
        assert answer_question(SCENE, question + " ", language) == answer


def test_a_scene_that_allows_no_such_question():
    rng = np.random.default_rng(1)
    scene = Scene(SCENE.image, SCENE.objects[:1], (), "flat")
    with pytest.raises(ValueError, match="Received: kind='left'"):
        sample_question(rng, scene, "en", "left")
