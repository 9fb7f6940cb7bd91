"""Stage 0 of the tiny PaliGemma: pictures, captions, and words for patches."""

import keras
import numpy as np

from keras_paligemma.data import Mixture
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data.selection import mix_bits
from keras_paligemma.data.shuffling import shuffled_index
from keras_paligemma.data.synthetic import COLOURS
from keras_paligemma.data.synthetic import KINDS
from keras_paligemma.data.synthetic import colour_name
from keras_paligemma.data.synthetic import noun_phrase

TEXT_LENGTH = 48
PATCH_SIZE = 14
# Scenes that are drawn between two lines of progress.
DRAWN_AT_ONCE = 2_000
# Share of a patch that a thing must cover to be what it shows; a patch of
# less, but some, is not asked.
SHOWN, SOME = 0.25, 0.03


def world_words():
    """What patches are asked: the English for each kind and each colour."""
    kinds = [noun_phrase("en", kind) for kind in KINDS]
    return kinds + [colour_name("en", colour) for colour in COLOURS]


def patch_answers(scene, patch_size=PATCH_SIZE):
    """Which of `world_words` each patch of a scene shows.

    Returns:
        int8 array `[patches, words]`, patches in raster order: 1 for yes, -1
        for no, 0 where the patch is not asked.
    """
    side = len(scene.image) // patch_size
    answers = np.full((side * side, len(KINDS) + len(COLOURS)), -1, "int8")
    cells = (side, patch_size, side, patch_size)
    cover = [
        thing.mask.reshape(cells).mean((1, 3)).ravel()
        for thing in scene.objects
    ]
    if not cover:
        return answers
    kinds, colours = tuple(KINDS), tuple(COLOURS)
    largest, most = np.argmax(cover, 0), np.max(cover, 0)
    for i, thing in enumerate(scene.objects):
        shown = (largest == i) & (most > SHOWN)
        answers[shown, kinds.index(thing.kind)] = 1
        answers[shown, len(kinds) + colours.index(thing.colour)] = 1
    answers[(most > SOME) & (most <= SHOWN)] = 0
    return answers


class AskedScenes(Mixture):
    """Batches of pictures, captions and the answers of patches."""

    def batch(self, start, size):
        records = [self[index] for index in range(start, start + size)]
        return {
            "images": np.array([record.scene.image for record in records]),
            "captions": [record.suffix for record in records],
            "words": np.array([patch_answers(r.scene) for r in records]),
        }


class DrawnScenes:
    """Scenes that are drawn once, before a training that sees them often.

    On few cores, drawing beside the training would hold up its every step.

    Args:
        scenes: `AskedScenes`.
        tokenizer: `PaliGemmaTokenizer`. Of the captions.
        count: int. How many scenes.
        path: path of the `.npy` file that the pictures are written to.
        readers: int. Processes that draw.
    """

    def __init__(self, scenes, tokenizer, count, path, readers=2):
        size = scenes[0].scene.image.shape
        self.images = np.lib.format.open_memmap(
            path, "w+", "uint8", (count, *size)
        )
        self.token_ids = np.zeros((count, TEXT_LENGTH), "int32")
        self.words = [None] * count
        progress = keras.utils.Progbar(count, unit_name="scene")
        at_once = min(DRAWN_AT_ONCE, count)
        with ReaderProcesses(scenes, readers, at_once) as source:
            for start in range(0, count, at_once):
                rows = slice(start, min(start + at_once, count))
                raw = source.batch(start, rows.stop - start)
                self.images[rows] = raw["images"]
                self.token_ids[rows] = padded(
                    tokenizer.tokenize(raw["captions"]), TEXT_LENGTH
                )
                self.words[rows] = raw["words"]
                progress.update(rows.stop)
        self.words = np.array(self.words)

    def __len__(self):
        return len(self.images)


class SiglipBatches(keras.utils.PyDataset):
    """What `SiglipWithWords` is trained on: scenes in a new order each time.

    Args:
        scenes: `DrawnScenes`.
        steps: int. Number of batches.
        batch_size: int.
        seed: int. Of the order.
    """

    def __init__(self, scenes, steps, batch_size, seed=0):
        super().__init__(workers=1, max_queue_size=4)
        self.scenes = scenes
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        first = index * self.batch_size
        rows = [
            shuffled_index(
                place % len(self.scenes),
                len(self.scenes),
                mix_bits(self.seed, place // len(self.scenes)),
            )
            for place in range(first, first + self.batch_size)
        ]
        images = self.scenes.images[rows].astype("float32") / 127.5 - 1.0
        inputs = {"images": images, "token_ids": self.scenes.token_ids[rows]}
        pairs = 2 * np.eye(len(images), dtype="int8") - 1
        return inputs, {"captions": pairs, "words": self.scenes.words[rows]}


def padded(rows, length):
    """int32 `[rows, length]`, cut or filled with `<pad>`, which is 0."""
    array = np.zeros((len(rows), length), "int32")
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row[:length]
    return array
