"""`SyntheticWorld`: pictures without end, with exact truth for every task."""

import dataclasses
import operator
import zlib
from collections.abc import Sequence

import numpy as np

from keras_paligemma.data.synthetic.captions import STYLES
from keras_paligemma.data.synthetic.composer import Composer
from keras_paligemma.data.synthetic.fonts import faces_of
from keras_paligemma.data.synthetic.phrases import check_language
from keras_paligemma.data.synthetic.records import ORDERS
from keras_paligemma.data.synthetic.records import write_record
from keras_paligemma.data.synthetic.words import SCRIPTS
from keras_paligemma.tasks.table import TASKS

# What a scene is about. Seeds and the tasks' names go into the generator's
# seed, so these never change their places.
FOCUSES = ("objects", "words")
_PURPOSES = (*FOCUSES, *sorted(TASKS))
_LARGEST_SEED = 2**32 - 1


class SyntheticWorld:
    """Draws scenes and writes records of all seven tasks about them.

    Everything is a pure function of the seed, the split and the index: any
    index may be asked for, in any order, in any process. (NumPy and Pillow
    keep their random streams and drawing the same within a release, not for
    ever.) There is no end and so no length; `task` gives a sequence with one.

    Args:
        image_size: int. Side of the pictures in pixels, at least 64.
        seed: int. 0 to 2**32 - 1.
        split: str. Any name; each name is a world of its own, so "train" and
            "test" share no scene.
        languages: sequence of str. Languages of captions, questions and
            answers, each as often; one that stands twice comes twice as
            often.
        scripts: sequence of str. Scripts of the written words, in the same
            way: "latin", "greek", "cyrillic", "armenian", "georgian".
        fonts: str or sequence of paths. "matplotlib" for the free faces that
            its wheel brings, "pillow" for the one inside Pillow, or files of
            your own.
        captions: str. "full" names everything, "short" the largest object.
        order: str. "shuffled" or "canonical" order of the boxes in suffixes.
        codec: what codes masks, for the task segment, such as
            `load_mask_codec()`: an object whose `encode` takes crops
            `[n, 64, 64]` in 0..1 to codes `[n, 16]`.

    Raises:
        ValueError: An argument is not one of those named.
        ImportError: `fonts` is "matplotlib", and it is not installed.

    Example:

    ```python
    world = SyntheticWorld(image_size=112, seed=0, split="train")
    scene = world[7]
    [(o.colour, o.kind, o.box) for o in scene.objects]
    world.example(7, "caption").suffix  # "a red circle and two blue stars"
    records = world.task("detect", count=10_000)  # len(records), records[i]
    ```
    """

    def __init__(
        self,
        image_size=112,
        seed=0,
        split="train",
        *,
        languages=("en",),
        scripts=SCRIPTS,
        fonts="matplotlib",
        captions="full",
        order="shuffled",
        codec=None,
    ):
        _check_whole("image_size", image_size, 64, 4096)
        _check_whole("seed", seed, 0, _LARGEST_SEED)
        if not isinstance(split, str) or not split:
            raise ValueError(
                "`split` must be a name, such as 'train' or 'test'. "
                f"Received: split={split!r}"
            )
        _check_choice("captions", captions, STYLES)
        _check_choice("order", order, ORDERS)
        self.image_size = int(image_size)
        self.seed = int(seed)
        self.split = split
        self.languages = _as_names("languages", languages)
        self.scripts = _as_names("scripts", scripts)
        self.fonts = fonts
        self.captions = captions
        self.order = order
        self.codec = codec
        for language in self.languages:
            check_language(language)
        for script in self.scripts:
            _check_choice("scripts", script, SCRIPTS)
            faces_of(script, fonts)

    def __getitem__(self, index):
        """The scene of an index; the same as `scene(index)`."""
        return self.scene(index)

    def scene(self, index, focus="objects"):
        """Draws one scene.

        Args:
            index: int, 0 or above, without end.
            focus: str. "objects" for a scene of one to seven objects and now
                and then a word; "words" for one of several words and at most
                two objects.

        Returns:
            A `Scene`.
        """
        _check_choice("focus", focus, FOCUSES)
        composer = Composer(
            self._generator(index, focus),
            self.image_size,
            self.scripts,
            self.fonts,
        )
        return composer.compose(focus)

    def example(self, index, task, scenes=None):
        """Writes the record of one task about one scene.

        All tasks of an index are about the same scene, but for "ocr", whose
        scene has words for sure.

        Args:
            index: int, 0 or above, without end.
            task: str. One of `keras_paligemma.tasks.TASKS`.
            scenes: callable as `scene`, if it need not be drawn again; the
                method itself by default.

        Returns:
            A `SyntheticRecord`: a `Record` with the image as a `PIL.Image`,
            its `objects` or `snippets`, and the `scene`.
        """
        _check_choice("task", task, tuple(TASKS))
        focus = "words" if task == "ocr" else "objects"
        scene = (scenes or self.scene)(index, focus)
        rng = self._generator(index, task)
        language = self.languages[rng.integers(len(self.languages))]
        record = write_record(
            rng, scene, task, language, self.captions, self.order, self.codec
        )
        return dataclasses.replace(
            record,
            source=f"synthetic/{self.split}",
            location=f"synthetic/{self.split}:{operator.index(index)}",
        )

    def task(self, name, count, start=0):
        """A part of the world as a sequence of one task's records.

        Args:
            name: str. One of `keras_paligemma.tasks.TASKS`.
            count: int. How many records.
            start: int. The first index.

        Returns:
            A `SyntheticTask`.
        """
        return SyntheticTask(self, name, count, start)

    def _generator(self, index, purpose):
        try:
            index = operator.index(index)
        except TypeError:
            index = -1
        if index < 0:
            raise IndexError(
                "An index of the synthetic world must be a whole number, 0 or "
                f"above. Received: index={index!r}"
            )
        split = zlib.crc32(self.split.encode())
        number = _PURPOSES.index(purpose)
        return np.random.default_rng((self.seed, split, number, index))


class SyntheticTask(Sequence):
    """Some records of one task of a `SyntheticWorld`, made when asked for.

    Args:
        world: `SyntheticWorld`.
        name: str. One of `keras_paligemma.tasks.TASKS`.
        count: int. How many records.
        start: int. The world's index of the first one.
    """

    def __init__(self, world, name, count, start=0):
        _check_choice("task", name, tuple(TASKS))
        _check_whole("count", count, 1, 2**62)
        _check_whole("start", start, 0, 2**62)
        self.world = world
        self.name = name
        self.indices = range(start, start + count)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        """One record, or for a slice the sequence of those records."""
        chosen = self.indices[index]
        if isinstance(chosen, range):
            part = SyntheticTask(self.world, self.name, len(self))
            part.indices = chosen
            return part
        return self.world.example(chosen, self.name)


def _as_names(name, values):
    names = (values,) if isinstance(values, str) else tuple(values)
    if not names:
        raise ValueError(
            f"`{name}` must name one at least. Received: {name}={values!r}"
        )
    return names


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )


def _check_whole(name, value, least, most):
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise ValueError(
            f"`{name}` must be a whole number from {least} to {most}. "
            f"Received: {name}={value!r}"
        )
