"""The seven tasks as methods: images in, typed results out."""

import dataclasses
import functools

import numpy as np

from keras_paligemma.preprocessing import load_image
from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks import build_grammar
from keras_paligemma.tasks import paste_mask
from keras_paligemma.tasks import stack_grammars
from keras_paligemma.tasks.object_text import label_text

# What the arguments of prefixes are called in the methods.
_GIVEN_AS = {
    "language": "lang",
    "question": "questions",
    "answer": "answers",
    "box": "boxes",
}


class PaliGemmaTasks:
    """Asks a model for captions, answers, boxes and masks.

    Every method takes one image (a path, a `PIL.Image` or an array
    `[height, width, 3]`) and returns one result, or a list of images (or an
    array `[batch, height, width, 3]`) and returns a list. What is asked may
    be one thing for all images, or a list of one for each.

    Boxes and masks are decoded under the task's grammar: only tokens that
    can follow are chosen, so that the output always parses, whatever the
    model is. That needs a greedy, random, top-k, top-p or beam sampler.

    Args:
        model: `PaliGemmaCausalLM` with a preprocessor.
        max_length: int or `None`. Room for prompt and answer in text tokens;
            `None` for the preprocessor's.
        batch_size: int. How many images are decoded together, at most.
        codec: object or `None`. What turns the codes of masks into pixels,
            for `mask_pixels`: `keras_paligemma.tasks.mask_vqvae.
            load_mask_codec("vae-oid.npz")` for the published models.

    Raises:
        ValueError: The model has no preprocessor, or `batch_size` is not
            positive.

    Example:

    ```python
    tasks = PaliGemmaTasks(model)
    tasks.caption("cow.jpg", lang="de")  # "eine Kuh am Strand"
    tasks.answer(["cow.jpg", "boat.jpg"], "how many cows?")  # ["1", "0"]
    found = tasks.detect("cow.jpg", ["cow", "boat"])
    found.boxes[0].label, found.boxes[0].score  # ("cow", 0.93)
    ```
    """

    def __init__(self, model, max_length=None, batch_size=16, codec=None):
        if model.preprocessor is None:
            raise ValueError(
                "The tasks need a model with a preprocessor, which prepares "
                "images and text. Received: preprocessor=None"
            )
        if batch_size < 1:
            raise ValueError(
                "`batch_size` must be at least 1. Received: "
                f"batch_size={batch_size}"
            )
        self.model = model
        self.max_length = max_length
        self.batch_size = batch_size
        self.codec = codec
        # Building one walks through the whole vocabulary.
        self._grammar = functools.lru_cache(maxsize=64)(self._build_grammar)

    def caption(self, images, lang="en"):
        """Describes images: str, or a list of str."""
        return self._texts("caption", images, language=lang)

    def ocr(self, images):
        """Reads the text on images: str, or a list of str."""
        return self._texts("ocr", images)

    def answer(self, images, questions, lang="en"):
        """Answers questions about images: str, or a list of str."""
        return self._texts("answer", images, question=questions, language=lang)

    def ask(self, images, answers, lang="en"):
        """Asks the questions to English answers: str, or a list of str."""
        return self._texts("question", images, answer=answers, language=lang)

    def describe_region(self, images, boxes):
        """Describes what is in boxes.

        Args:
            images: One image, or several.
            boxes: `Box`, or a list of one for each image. With one image
                and a list of boxes, all of them are described.

        Returns:
            str, or a list of str.
        """
        if not _are_several(images) and not isinstance(boxes, Box):
            images = [images] * len(boxes)
        return self._texts("grounded_caption", images, box=boxes)

    def detect(self, images, labels):
        """Finds things as boxes.

        The score of a box is the geometric mean of the probabilities of its
        four location tokens and of its label's tokens, among all tokens of
        the vocabulary: 1.0 where the model was sure of each. The separator
        behind the label tells of the next box, and is not counted.

        Args:
            images: One image, or several.
            labels: str, or list of str: what to look for on all images. A
                list of such lists: what to look for on each.

        Returns:
            `Detections`, or a list of them: `boxes` with labels and scores,
            in coordinates of 0..1, and `problems`, of which the only kind is
            a repeated box.
        """
        return self._objects("detect", images, labels)

    def segment(self, images, labels):
        """Finds things as masks.

        Args:
            images, labels: As `detect`.

        Returns:
            `Segmentations`, or a list of them: `masks` of a box with its
            score (see `detect`) and of codes, which a codec turns into
            pixels (see `mask_pixels` and `Mask`). The codes do not count in
            the score, which tells of the box and of what is in it.
        """
        return self._objects("segment", images, labels)

    def mask_pixels(self, images, found):
        """Decodes masks to the pixels of their images, with `codec`.

        Args:
            images: One image, or several: what `segment` was given.
            found: `Segmentations`, or a list of them: what it returned.

        Returns:
            bool array `[masks, height, width]` of the image's own size, or a
            list of one for each image.

        Raises:
            ValueError: If there is no codec, or not one of `found` for each
                image.
        """
        if self.codec is None:
            raise ValueError(
                "Codes become pixels by the codec that the model was trained "
                "with: `PaliGemmaTasks(model, codec=load_mask_codec(path))`, "
                "from `keras_paligemma.tasks.mask_vqvae`. Received: codec=None"
            )
        several = _are_several(images)
        images = list(images) if several else [images]
        found = found if several else [found]
        _check_count("found", found, len(images))
        codes = [mask.codes for one in found for mask in one.masks]
        # All at once: a codec is a model of its own.
        crops = iter(self.codec.decode(np.array(codes)) if codes else ())
        pixels = []
        for image, one in zip(images, found, strict=True):
            size = load_image(image).shape[:2]
            rows = [
                paste_mask(np.asarray(next(crops)), mask.box, size)
                for mask in one.masks
            ]
            pixels.append(np.array(rows, "bool").reshape(-1, *size))
        return pixels if several else pixels[0]

    def _texts(self, name, images, **asked):
        several = _are_several(images)
        images = list(images) if several else [images]
        columns = {
            key: _one_each(key, value, len(images))
            for key, value in asked.items()
        }
        task = TASKS[name]
        prompts = [
            task.prefix(**{key: column[i] for key, column in columns.items()})
            for i in range(len(images))
        ]
        texts = []
        for rows in self._batches(len(images)):
            texts += self.model.generate(
                {"images": images[rows], "prompts": prompts[rows]},
                max_length=self.max_length,
                strip_prompt=True,
            )
        results = [task.parse(text) for text in texts]
        return results if several else results[0]

    def _objects(self, name, images, labels):
        several = _are_several(images)
        images = list(images) if several else [images]
        things = _things_of_each(labels, len(images))
        task = TASKS[name]
        prompts = [task.prefix(asked) for asked in things]
        results = []
        for rows in self._batches(len(images)):
            grammars = [
                self._grammar(asked, name == "segment")
                for asked in things[rows]
            ]
            answers = self.model.generate_tokens(
                {"images": images[rows], "prompts": prompts[rows]},
                max_length=self.max_length,
                grammar=stack_grammars(grammars),
            )
            results += [
                self._read(task, *row)
                for row in zip(grammars, things[rows], *answers, strict=True)
            ]
        return results if several else results[0]

    def _batches(self, count):
        for start in range(0, count, self.batch_size):
            yield slice(start, start + self.batch_size)

    def _read(self, task, grammar, things, token_ids, scores):
        end = grammar.end_token_id
        token_ids = [int(token) for token in token_ids]
        text = self.model.preprocessor.tokenizer.detokenize(
            token_ids[: token_ids.index(end)]
        )
        found = task.parse(text, things=things)
        spans = grammar.object_spans(token_ids)
        field = "masks" if hasattr(found, "masks") else "boxes"
        scored = [
            _with_score(thing, self._score(thing, scores, *span))
            for thing, span in zip(getattr(found, field), spans, strict=True)
        ]
        return dataclasses.replace(found, **{field: tuple(scored)})

    def _score(self, thing, scores, first, codes, label, last):
        # Less the separator or the end token, which tell of the next box.
        tokens = self.model.preprocessor.tokenizer(label_text(thing.label))
        end = min(label + len(tokens), last - 1)
        counted = [*range(first, first + 4), *range(label, end)]
        return float(np.exp(np.mean(np.asarray(scores)[counted])))

    def _build_grammar(self, things, with_codes):
        return build_grammar(
            things,
            self.model.preprocessor.tokenizer,
            with_codes=with_codes,
            vocabulary_size=self.model.backbone.vocabulary_size,
        )


def _with_score(thing, score):
    if isinstance(thing, Mask):
        box = dataclasses.replace(thing.box, score=score)
        return dataclasses.replace(thing, box=box)
    return dataclasses.replace(thing, score=score)


def _are_several(images):
    return (
        isinstance(images, (list, tuple))
        or len(getattr(images, "shape", ())) == 4
    )


def _one_each(name, value, count):
    if not isinstance(value, (list, tuple)):
        return [value] * count
    return _check_count(_GIVEN_AS[name], value, count)


def _things_of_each(labels, count):
    if isinstance(labels, str):
        labels = (labels,)
    labels = list(labels)
    if all(isinstance(label, str) for label in labels):
        return [tuple(labels)] * count
    return [
        (row,) if isinstance(row, str) else tuple(row)
        for row in _check_count("labels", labels, count)
    ]


def _check_count(name, values, count):
    if len(values) != count:
        raise ValueError(
            f"`{name}` must be one for all images, or a list of one for each. "
            f"Received: {len(values)} for {count} images"
        )
    return list(values)
