"""One record of each task, written from a scene's truth."""

import dataclasses

from PIL import Image

from keras_paligemma.data.record import Record
from keras_paligemma.data.scene_object import SceneObject
from keras_paligemma.data.scene_object import write_things
from keras_paligemma.data.synthetic.captions import write_caption
from keras_paligemma.data.synthetic.colours import COLOURS
from keras_paligemma.data.synthetic.phrases import noun_phrase
from keras_paligemma.data.synthetic.questions import sample_question
from keras_paligemma.data.synthetic.scene import Scene
from keras_paligemma.data.synthetic.shapes import KINDS
from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.table import TASKS

ORDERS = ("shuffled", "canonical")


@dataclasses.dataclass(frozen=True)
class SyntheticRecord(Record):
    """A record with the scene that it was made from.

    Args:
        scene: `Scene`. The whole truth: `is_valid_question(record.scene, ...)`
            judges an output, `scene.words` holds the boxes of words.
        language: str or `None`. The language of its texts.
        question: str or `None`. For the tasks answer and question.
        answer: str or `None`. For the tasks answer (in its language) and
            question (in English).
    """

    scene: Scene = dataclasses.field(default=None, repr=False, compare=False)
    language: str | None = None
    question: str | None = None
    answer: str | None = None


def write_record(rng, scene, task, language, style, order, codec):
    """Writes one record.

    Args:
        rng: `np.random.Generator`. Draws the question, the things to look
            for, and their order.
        scene: `Scene`.
        task: str. A key of `TASKS`.
        language: str. One of `LANGUAGES`.
        style: str. The captions' style, "full" or "short".
        order: str. One of `ORDERS`, of the boxes of a suffix.
        codec: what codes masks, or `None`.

    Returns:
        A `SyntheticRecord`, with `source` and `location` left open.
    """
    image = Image.fromarray(scene.image)
    common = {"images": (image,), "task": task, "scene": scene}
    grammar = TASKS[task]
    if task == "caption":
        return SyntheticRecord(
            prefix=grammar.prefix(language),
            suffix=grammar.suffix(write_caption(scene, language, style)),
            language=language,
            **common,
        )
    if task == "ocr":
        snippets = tuple(word.text for word in scene.words)
        return SyntheticRecord(
            prefix=grammar.prefix(),
            suffix=grammar.suffix(snippets),
            snippets=snippets,
            **common,
        )
    if task == "grounded_caption":
        thing = scene.objects[rng.integers(len(scene.objects))]
        text = noun_phrase("en", thing.kind, thing.colour)
        box = Box(*thing.box, label=text)
        return SyntheticRecord(
            prefix=grammar.prefix(box),
            suffix=grammar.suffix(text),
            language="en",
            objects=(SceneObject(box, thing.mask),),
            **common,
        )
    if task in ("answer", "question"):
        question, answer, english = sample_question(rng, scene, language)
        if task == "answer":
            prefix, suffix = grammar.prefix(question, language), answer
        else:
            prefix, suffix = grammar.prefix(english, language), question
        return SyntheticRecord(
            prefix=prefix,
            suffix=grammar.suffix(suffix),
            language=language,
            question=question,
            answer=answer if task == "answer" else english,
            **common,
        )
    return _write_objects(rng, scene, grammar, order, codec, common)


def _write_objects(rng, scene, grammar, order, codec, common):
    things = _sample_things(rng, scene)
    labels = [noun_phrase("en", *thing) for thing in things]
    objects = [
        SceneObject(Box(*found.box, label=label), found.mask)
        for thing, label in zip(things, labels, strict=True)
        for found in scene.matching(*thing)
    ]
    if order == "shuffled":
        rng.shuffle(objects)
    if grammar.name == "segment":
        _check_codec(codec)
        suffix = write_things(objects, codec)
    else:
        suffix = write_things(objects)
    return SyntheticRecord(
        prefix=grammar.prefix(labels),
        suffix=suffix,
        language="en",
        objects=tuple(objects),
        **common,
    )


def _sample_things(rng, scene):
    """Draws one to three things to look for, as (kind, colour or None).

    No two of them share an object; one in ten lists also asks for something
    that is not there.
    """
    kinds = list(dict.fromkeys(thing.kind for thing in scene.objects))
    rng.shuffle(kinds)
    things = []
    for kind in kinds[: int(rng.integers(1, 4))]:
        same = scene.matching(kind)
        some = same[rng.integers(len(same))]
        things.append((kind, some.colour if rng.random() < 0.5 else None))
    if rng.random() < 0.1:
        absent = [kind for kind in KINDS if kind not in kinds]
        kind = absent[rng.integers(len(absent))]
        colour = tuple(COLOURS)[rng.integers(len(COLOURS))]
        things.append((kind, colour if rng.random() < 0.5 else None))
        rng.shuffle(things)
    return things


def _check_codec(codec):
    if codec is None:
        raise ValueError(
            "The suffix of the task 'segment' holds coded masks, and needs "
            "the codec that codes them: "
            "`SyntheticWorld(..., codec=load_mask_codec())`, from "
            "`keras_paligemma.tasks.mask_vqvae`. The true masks are "
            "there without one, in `world.scene(index).objects`. "
            "Received: codec=None"
        )
