"""Captions and noun phrases: articles, endings, plurals, as literals."""

import re
from types import SimpleNamespace

import pytest

from keras_paligemma.data.synthetic import COLOURS
from keras_paligemma.data.synthetic import KINDS
from keras_paligemma.data.synthetic import LANGUAGES
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic import write_caption
from keras_paligemma.data.synthetic.language_tables import COLOUR_FORMS
from keras_paligemma.data.synthetic.language_tables import NOUNS
from keras_paligemma.data.synthetic.language_tables import QUESTION_KINDS
from keras_paligemma.data.synthetic.language_tables import QUESTIONS
from keras_paligemma.data.synthetic.phrases import FORMS
from keras_paligemma.data.synthetic.phrases import counted_phrase
from keras_paligemma.data.synthetic.phrases import noun_phrase
from keras_paligemma.data.synthetic.phrases import read_phrases


def scene_of(*things):
    objects = [SimpleNamespace(colour=c, kind=k) for c, k in things]
    return SimpleNamespace(objects=tuple(objects))


@pytest.mark.parametrize(
    "language, text",
    [
        ("en", "two red circles, an orange star and a white umbrella"),
        ("de", "zwei rote Kreise, ein orangefarbener Stern und ein weißer "
               "Regenschirm"),
        ("fr", "deux cercles rouges, une étoile orange et un parapluie blanc"),
        ("es", "dos círculos rojos, una estrella naranja y un paraguas "
               "blanco"),
        ("it", "due cerchi rossi, una stella arancione e un ombrello bianco"),
        ("pt", "dois círculos vermelhos, uma estrela laranja e um "
               "guarda-chuva branco"),
    ],
)  # fmt: skip
def test_captions(language, text):
    scene = scene_of(
        ("red", "circle"),
        ("orange", "star"),
        ("red", "circle"),
        ("white", "umbrella"),
    )
    assert write_caption(scene, language) == text
    first = text.split(", ")[0]
    assert first not in write_caption(scene, language, "short")


@pytest.mark.parametrize(
    "language, kind, colour, form, text",
    [
        ("en", "arrow", None, "indefinite", "an arrow"),
        ("en", "arrow", "red", "indefinite", "a red arrow"),
        ("en", "leaf", "blue", "plural", "blue leaves"),
        ("en", "bolt", "pink", "beside", "the pink lightning bolt"),
        ("de", "circle", "red", "indefinite_object", "einen roten Kreis"),
        ("de", "flower", "red", "indefinite", "eine rote Blume"),
        ("de", "house", "gray", "indefinite", "ein graues Haus"),
        ("de", "house", "gray", "definite", "das graue Haus"),
        ("de", "heart", "pink", "beside", "dem rosa Herzen"),
        ("de", "crown", "yellow", "beside", "der gelben Krone"),
        ("de", "leaf", "green", "plural", "grüne Blätter"),
        ("fr", "star", "blue", "beside", "de l'étoile bleue"),
        ("fr", "boat", "white", "beside", "du bateau blanc"),
        ("fr", "boat", "brown", "plural", "bateaux marron"),
        ("fr", "hexagon", "green", "definite", "l'hexagone vert"),
        ("fr", "bolt", "yellow", "counted", "d'éclairs jaunes"),
        ("fr", "key", "purple", "indefinite", "une clé violette"),
        ("es", "fish", "gray", "plural", "peces grises"),
        ("es", "cross", "black", "counted", "Cuántas cruces negras"),
        ("es", "car", "blue", "beside", "del coche azul"),
        ("it", "car", "white", "indefinite", "un'auto bianca"),
        ("it", "car", "white", "plural", "auto bianche"),
        ("it", "tree", "green", "beside", "dell'albero verde"),
        ("it", "fish", "blue", "counted", "Quanti pesci blu"),
        ("pt", "tree", "green", "beside", "da árvore verde"),
        ("pt", "heart", "blue", "plural", "corações azuis"),
    ],
)
def test_noun_phrases(language, kind, colour, form, text):
    assert noun_phrase(language, kind, colour, form) == text


@pytest.mark.parametrize(
    "language, count, text",
    [
        ("pt", 2, "duas luas pretas"),
        ("fr", 9, "neuf lunes noires"),
        ("de", 1, "ein schwarzer Mond"),
        ("en", 12, "12 black moons"),
    ],
)
def test_numbers(language, count, text):
    assert counted_phrase(language, "moon", "black", count) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_are_complete(language):
    assert len(LANGUAGES) >= 5
    assert len(NOUNS[language]) == len(KINDS)
    assert len(COLOUR_FORMS[language]) == len(COLOURS)
    assert all(len(row) == 3 for row in NOUNS[language])
    assert {gender for *_, gender in NOUNS[language]} <= set("mfn-")
    assert tuple(QUESTIONS[language]) == QUESTION_KINDS
    # Two things never share a name, or a question could not be read back.
    for form in FORMS:
        names = read_phrases(language, form)
        assert len(names) == len(KINDS) * (len(COLOURS) + 1)
        assert all(re.fullmatch(r"\S+( \S+)*", name) for name in names)


def test_errors():
    scene = scene_of(("red", "circle"))
    with pytest.raises(ValueError, match="Received: language='xx'"):
        write_caption(scene, "xx")
    with pytest.raises(ValueError, match="Received: style='long'"):
        write_caption(scene, "en", "long")
    with pytest.raises(ValueError, match="needs a scene with objects"):
        write_caption(scene_of(), "en")
    with pytest.raises(ValueError, match="Received: language='xx'"):
        SyntheticWorld(languages=["en", "xx"])
