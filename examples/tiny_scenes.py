"""Stage 0 of the tiny PaliGemma: pictures, captions, and words for patches."""

import keras
import numpy as np

from examples.tiny_words import cropped
from examples.tiny_words import patch_answers
from keras_paligemma.data import Mixture
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data.selection import mix_bits
from keras_paligemma.data.shuffling import shuffled_index

TEXT_LENGTH = 48
# Scenes that are drawn between two lines of progress.
DRAWN_AT_ONCE = 2_000


class AskedScenes(Mixture):
    """Batches of pictures, captions and the answers of patches.

    Of larger pictures it takes a part with something to read, without a
    caption.

    Args:
        size: int. Side of the pictures in pixels.
        *args, **kwargs: As for `Mixture`.
    """

    def __init__(self, size, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.size = size

    def batch(self, start, size):
        rows = [self.asked(index) for index in range(start, start + size)]
        images, captions, answers = zip(*rows, strict=True)
        return {
            "images": np.array(images),
            "captions": list(captions),
            "words": np.array(answers),
        }

    def asked(self, index):
        """Image, caption and answers of one picture."""
        record = self[index]
        scene, caption = record.scene, record.suffix
        room = len(scene.image) - self.size
        if room:
            rng = np.random.default_rng(index)
            corner = rng.uniform(0, room, 2)
            if scene.words:
                word = scene.words[rng.integers(len(scene.words))]
                top, left, bottom, right = word.box
                # A place of the word comes to a place of the picture.
                inside = rng.uniform((top, left), (bottom, right))
                corner = inside * len(scene.image) - rng.uniform(0, self.size)
            top, left = np.clip(corner, 0, room).astype(int)
            scene, caption = cropped(scene, top, left, self.size), ""
        return scene.image, caption, patch_answers(scene)


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
        size = (scenes.size, scenes.size, 3)
        self.images = np.lib.format.open_memmap(
            path, "w+", "uint8", (count, *size)
        )
        self.token_ids = np.zeros((count, TEXT_LENGTH), "int32")
        self.answers = []
        progress = keras.utils.Progbar(count, unit_name="scene")
        at_once = min(DRAWN_AT_ONCE, count)
        with ReaderProcesses(scenes, readers, at_once) as source:
            for start in range(0, count, at_once):
                rows = slice(start, min(start + at_once, count))
                raw = source.batch(start, rows.stop - start)
                words = np.array(raw["words"])
                self.images[rows] = raw["images"]
                self.token_ids[rows] = padded(
                    tokenizer.tokenize(raw["captions"]), TEXT_LENGTH
                )
                self.shape = words.shape[1:]
                self.answers += [sparse(answers) for answers in words]
                progress.update(rows.stop)

    def __len__(self):
        return len(self.images)

    def words(self, rows):
        """The answers of patches, int8 `[rows, patches, words]`."""
        return np.stack([dense(self.answers[i], self.shape) for i in rows])


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
        token_ids = self.scenes.token_ids[rows]
        inputs = {"images": images, "token_ids": token_ids}
        # Not every picture has a caption.
        captioned = token_ids.any(axis=1)
        pairs = 2 * np.eye(len(images), dtype="int8") - 1
        pairs *= captioned[:, None] & captioned
        return inputs, {"captions": pairs, "words": self.scenes.words(rows)}


def sparse(answers):
    """Places and values of all answers that are not no."""
    flat = answers.ravel()
    places = np.flatnonzero(flat != -1)
    return places.astype("int32"), flat[places]


def dense(answers, shape):
    """The answers of `sparse` as they were."""
    places, values = answers
    array = np.full(shape, -1, "int8")
    array.ravel()[places] = values
    return array


def padded(rows, length):
    """int32 `[rows, length]`, cut or filled with `<pad>`, which is 0."""
    array = np.zeros((len(rows), length), "int32")
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row[:length]
    return array
