"""Questions about a scene, and their answers from its truth.

`answer_question` reads a question back from its words and answers it from the
scene; it does not know how the question came about, so it also judges the
questions that a model asks.
"""

import functools
import re

from keras_paligemma.data.synthetic.colours import COLOURS
from keras_paligemma.data.synthetic.language_tables import LANGUAGES
from keras_paligemma.data.synthetic.language_tables import NONE
from keras_paligemma.data.synthetic.language_tables import QUESTION_KINDS
from keras_paligemma.data.synthetic.language_tables import QUESTIONS
from keras_paligemma.data.synthetic.language_tables import YES_NO
from keras_paligemma.data.synthetic.phrases import check_language
from keras_paligemma.data.synthetic.phrases import colour_name
from keras_paligemma.data.synthetic.phrases import noun_phrase
from keras_paligemma.data.synthetic.phrases import read_phrases
from keras_paligemma.data.synthetic.shapes import KINDS

# Sides of a relation, with the axis (y, x) and the sign of first - second.
_SIDES = {"left": (1, -1), "right": (1, 1), "above": (0, -1), "below": (0, 1)}
# Two middles nearer than this along an axis are neither left nor right.
LEAST_DISTANCE = 0.08


def ask(language, kind, *things):
    """Writes a question.

    Args:
        language: string. One of `LANGUAGES`.
        kind: string. One of `QUESTION_KINDS`.
        things: tuples `(kind of object, colour or None)`, as many as the
            question names.

    Returns:
        string.
    """
    check_language(language)
    template = QUESTIONS[language][kind]
    if kind == "presences":
        bare = [noun_phrase(language, *thing) for thing in things]
        return template.replace("{list}", ", ".join(bare))
    things = iter(things)
    return re.sub(
        r"\{(\w+)\}",
        lambda found: noun_phrase(language, *next(things), found[1]),
        template,
    )


def answer_question(scene, question, language="en"):
    """Answers a question from a scene's truth, in the question's language.

    Args:
        scene: `Scene`.
        question: string, in the words of one of the language's questions.
        language: string. One of `LANGUAGES`.

    Returns:
        string, or None for a question that is not understood or has no
        single answer (the colour of "the circle" where there are two).
    """
    value = _solve(scene, *_read(question, language))
    return None if value is None else _write_answer(language, value)


def is_valid_question(scene, question, answer, language=None):
    """Whether a question about a scene has a given English answer.

    Args:
        scene: `Scene`.
        question: string, in any of the languages.
        answer: string. The English answer that the question was asked for.
        language: string or None. The language that the question must be in,
            None for any.

    Returns:
        bool.
    """
    wanted = answer.strip().lower()
    for code in (language,) if language else LANGUAGES:
        value = _solve(scene, *_read(question, code))
        if value is None:
            continue
        if isinstance(value, tuple) and value:
            names = {noun_phrase("en", *thing) for thing in value}
            if {name.strip() for name in wanted.split(",")} == names:
                return True
        elif _write_answer("en", value) == wanted:
            return True
    return False


def sample_question(rng, scene, language="en", kind=None):
    """Draws a question that the scene answers.

    Args:
        rng: `np.random.Generator`.
        scene: `Scene`.
        language: string. One of `LANGUAGES`.
        kind: string or None. One of `QUESTION_KINDS`; None draws one of those
            that the scene allows.

    Returns:
        `(question, answer, english_answer)`, strings.

    Raises:
        ValueError: The scene allows no question of that kind.
    """
    kinds = list(QUESTION_KINDS) if kind is None else [kind]
    if kind is None:
        # Left, right, above and below are one kind among six.
        side = rng.integers(4)
        kinds = [*kinds[:5], kinds[5 + side]]
        rng.shuffle(kinds)
    for candidate in kinds:
        things = _sample_things(rng, scene, candidate)
        if things is None:
            continue
        value = _solve(scene, candidate, things)
        return (
            ask(language, candidate, *things),
            _write_answer(language, value),
            _write_answer("en", value),
        )
    raise ValueError(
        "The scene does not allow such a question (a relation needs two "
        "objects apart, a colour one object alone of its kind). "
        f"Received: kind={kind!r}"
    )


def _sample_things(rng, scene, kind):
    """Draws what a question of a kind names, or None where nothing fits."""
    if kind == "listing":
        return () if scene.objects else None
    if kind == "presence":
        return (_present_or_not(rng, scene, coloured=rng.random() < 0.6),)
    if kind == "presences":
        chosen = [(thing.kind, None) for thing in scene.objects]
        chosen = chosen[: int(rng.integers(0, 3))]
        chosen += [(KINDS[i], None) for i in rng.integers(len(KINDS), size=2)]
        chosen = list(dict.fromkeys(chosen))
        rng.shuffle(chosen)
        return tuple(chosen)
    if kind == "counting":
        thing = _pick(rng, scene.objects)
        if thing is None or rng.random() < 0.1:
            return (_present_or_not(rng, scene, coloured=False),)
        return ((thing.kind, thing.colour if rng.random() < 0.3 else None),)
    if kind == "colour":
        alone = [o for o in scene.objects if len(scene.matching(o.kind)) == 1]
        return ((_pick(rng, alone).kind, None),) if alone else None
    axis, _ = _SIDES[kind]
    named = [(o, _name(scene, o)) for o in scene.objects]
    named = [(o, name) for o, name in named if name]
    pairs = [
        (first, second)
        for o, first in named
        for p, second in named
        if abs(o.centre[axis] - p.centre[axis]) >= LEAST_DISTANCE
    ]
    return _pick(rng, pairs)


def _pick(rng, options):
    return options[rng.integers(len(options))] if options else None


def _present_or_not(rng, scene, coloured):
    """A thing of the scene, or as often one that is not there."""
    thing = _pick(rng, scene.objects)
    if thing is not None and rng.random() < 0.5:
        return thing.kind, thing.colour if coloured else None
    colours = tuple(COLOURS)
    while True:
        # Another colour of a kind that is there makes the harder question.
        kind = KINDS[rng.integers(len(KINDS))]
        if coloured and thing is not None and rng.random() < 0.5:
            kind = thing.kind
        colour = colours[rng.integers(len(colours))] if coloured else None
        if not scene.matching(kind, colour):
            return kind, colour


def _name(scene, thing):
    """The shortest name that only this object has, or None."""
    for name in ((thing.kind, None), (thing.kind, thing.colour)):
        if len(scene.matching(*name)) == 1:
            return name
    return None


@functools.cache
def _patterns(language):
    """Every question of a language as (kind, expression, forms)."""
    rows = []
    for kind, template in QUESTIONS[language].items():
        pieces = re.split(r"\{(\w+)\}", template)
        expression = "(.+)".join(map(re.escape, pieces[::2]))
        rows.append((kind, re.compile(expression), tuple(pieces[1::2])))
    return tuple(rows)


def _read(question, language):
    """Reads a question as (kind, things); (None, ()) if not understood."""
    check_language(language)
    for kind, expression, forms in _patterns(language):
        found = expression.fullmatch(question.strip())
        if not found:
            continue
        texts, names = found.groups(), forms
        if kind == "presences":
            texts = found[1].split(", ")
            names = ("bare",) * len(texts)
        things = [
            read_phrases(language, form).get(text)
            for form, text in zip(names, texts, strict=True)
        ]
        if None not in things:
            return kind, tuple(things)
    return None, ()


def _solve(scene, kind, things):
    """The answer as a truth value, a number, a colour or a tuple of things."""
    if kind is None:
        return None
    if kind == "listing":
        return tuple(dict.fromkeys((o.kind, None) for o in scene.objects))
    found = [scene.matching(*thing) for thing in things]
    if kind == "presence":
        return bool(found[0])
    if kind == "presences":
        return tuple(
            thing for thing, there in zip(things, found, strict=True) if there
        )
    if kind == "counting":
        return len(found[0])
    if any(len(there) != 1 for there in found):
        return None
    if kind == "colour":
        return found[0][0].colour
    axis, sign = _SIDES[kind]
    distance = found[0][0].centre[axis] - found[1][0].centre[axis]
    if abs(distance) < LEAST_DISTANCE:
        return None
    return distance * sign > 0


def _write_answer(language, value):
    if isinstance(value, bool):
        return YES_NO[language][not value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return colour_name(language, value)
    names = [noun_phrase(language, *thing) for thing in value]
    return ", ".join(names) or NONE[language]
