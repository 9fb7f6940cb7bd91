"""Noun phrases: articles, endings and order of words by language."""

import functools

from keras_paligemma.data.synthetic.colours import COLOURS
from keras_paligemma.data.synthetic.language_tables import AND
from keras_paligemma.data.synthetic.language_tables import COLOUR_FORMS
from keras_paligemma.data.synthetic.language_tables import LANGUAGES
from keras_paligemma.data.synthetic.language_tables import NOUNS
from keras_paligemma.data.synthetic.language_tables import NUMBERS
from keras_paligemma.data.synthetic.shapes import KINDS

# The forms a noun phrase may take.
#   bare               red circle / roter Kreis
#   plural             red circles / rote Kreise
#   indefinite         a red circle / ein roter Kreis
#   indefinite_object  the accusative, which only German tells apart
#   definite           the red circle / der rote Kreis
#   beside             after "left of": the red circle / dem roten Kreis /
#                      du cercle rouge
#   counted            after "how many", with the word itself where it
#                      agrees: red circles / de cercles rouges /
#                      Cuántos círculos rojos
FORMS = (
    "bare",
    "plural",
    "indefinite",
    "indefinite_object",
    "definite",
    "beside",
    "counted",
)
_VOWELS = "aeiouáéíóúâêôàèœ"
# German: by form, the article and the adjective's ending by gender.
_GERMAN = {
    "bare": {"m": ("", "er"), "f": ("", "e"), "n": ("", "es")},
    "plural": dict.fromkeys("mfn", ("", "e")),
    "counted": dict.fromkeys("mfn", ("", "e")),
    "indefinite": {
        "m": ("ein", "er"),
        "f": ("eine", "e"),
        "n": ("ein", "es"),
    },
    "indefinite_object": {
        "m": ("einen", "en"),
        "f": ("eine", "e"),
        "n": ("ein", "es"),
    },
    "definite": {"m": ("der", "e"), "f": ("die", "e"), "n": ("das", "e")},
    "beside": {"m": ("dem", "en"), "f": ("der", "en"), "n": ("dem", "en")},
}
# The others: by form, the article of masculine, feminine, and before a vowel
# (masculine, feminine). A trailing apostrophe joins.
_ARTICLES = {
    "fr": {
        "indefinite": ("un", "une", "un", "une"),
        "definite": ("le", "la", "l'", "l'"),
        "beside": ("du", "de la", "de l'", "de l'"),
        "counted": ("de", "de", "d'", "d'"),
    },
    "es": {
        "indefinite": ("un", "una", "un", "una"),
        "definite": ("el", "la", "el", "la"),
        "beside": ("del", "de la", "del", "de la"),
        "counted": ("Cuántos", "Cuántas", "Cuántos", "Cuántas"),
    },
    "it": {
        "indefinite": ("un", "una", "un", "un'"),
        "definite": ("il", "la", "l'", "l'"),
        "beside": ("del", "della", "dell'", "dell'"),
        "counted": ("Quanti", "Quante", "Quanti", "Quante"),
    },
    "pt": {
        "indefinite": ("um", "uma", "um", "uma"),
        "definite": ("o", "a", "o", "a"),
        "beside": ("do", "da", "do", "da"),
        "counted": ("Quantos", "Quantas", "Quantos", "Quantas"),
    },
}


def noun_phrase(language, kind, colour=None, form="bare"):
    """Writes a kind of object, with its colour, as a language has it.

    Args:
        language: string. One of `LANGUAGES`.
        kind: string. One of `KINDS`.
        colour: string or None. One of `COLOURS`.
        form: string. One of `FORMS`.

    Returns:
        string.

    Example:

    >>> noun_phrase("fr", "star", "blue", "beside")
    "de l'étoile bleue"
    """
    check_language(language)
    singular, plural, gender = NOUNS[language][KINDS.index(kind)]
    many = form in ("plural", "counted")
    noun = plural if many else singular
    colour_forms = colour and COLOUR_FORMS[language][_index(colour)]
    if language == "en":
        words = f"{colour_forms[0]} {noun}" if colour else noun
        if form in ("definite", "beside"):
            return f"the {words}"
        if form.startswith("indefinite"):
            return f"{'an' if words[0] in _VOWELS else 'a'} {words}"
        return words
    if language == "de":
        article, ending = _GERMAN[form][gender]
        if form == "beside" and kind == "heart":
            noun = "Herzen"
        adjective = colour and _german_adjective(colour_forms[0], ending)
        return " ".join(filter(None, [article, adjective, noun]))
    words = noun
    if colour:
        words = f"{noun} {_agreeing(colour_forms, gender, many)}"
    form = "indefinite" if form == "indefinite_object" else form
    articles = _ARTICLES[language].get(form)
    if articles is None:
        return words
    vowel = noun[0] in _VOWELS or (language == "fr" and noun[0] == "h")
    article = articles[2 * vowel + (gender == "f")]
    return article + ("" if article.endswith("'") else " ") + words


def _index(colour):
    return tuple(COLOURS).index(colour)


def _german_adjective(stem, ending):
    return stem[:-1] if stem.endswith("=") else stem + ending


def _agreeing(forms, gender, many):
    if len(forms) == 4:
        return forms[2 * many + (gender == "f")]
    return forms[many] if len(forms) == 2 else forms[0]


def colour_name(language, colour):
    """The name of a colour by itself: "red", "rot", "rouge"."""
    return COLOUR_FORMS[language][_index(colour)][0].rstrip("=")


def counted_phrase(language, kind, colour, count):
    """ "a red circle" for one, "three red circles" for three."""
    if count == 1:
        return noun_phrase(language, kind, colour, "indefinite")
    words = noun_phrase(language, kind, colour, "plural")
    if count > 9:
        return f"{count} {words}"
    forms = NUMBERS[language][count - 2].split("/")
    feminine = NOUNS[language][KINDS.index(kind)][2] == "f"
    return f"{forms[feminine and len(forms) == 2]} {words}"


def join_phrases(language, phrases):
    """ "a", "a and b", "a, b and c", with the language's own "and"."""
    *first, last = phrases
    if not first:
        return last
    return f"{', '.join(first)} {AND[language]} {last}"


@functools.cache
def read_phrases(language, form):
    """Every noun phrase of a form, to its (kind, colour or None)."""
    return {
        noun_phrase(language, kind, colour, form): (kind, colour)
        for kind in KINDS
        for colour in (None, *COLOURS)
    }


def check_language(language):
    """Raises ValueError unless the tables have the language."""
    if language not in LANGUAGES:
        raise ValueError(
            f"The synthetic world speaks {', '.join(LANGUAGES)}. "
            f"Received: language={language!r}"
        )
