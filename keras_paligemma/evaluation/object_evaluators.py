"""Evaluators of the tasks that are answered with boxes and masks."""

import numpy as np

from keras_paligemma.data.scene_object import SceneObject
from keras_paligemma.evaluation.detection import detection_scores
from keras_paligemma.evaluation.evaluator import Evaluator
from keras_paligemma.evaluation.masks import mask_scores
from keras_paligemma.evaluation.masks import match_masks
from keras_paligemma.tasks import paste_mask

# These leave the form as it is; the measures count what they do.
_CONTENT = ("repeated", "not_asked_for")
# Where the truth is in tokens, masks are compared on a grid of this size.
_GRID = (256, 256)


class ObjectEvaluator(Evaluator):
    """What boxes and masks have in common: reading, and problems."""

    def read(self, record, prediction):
        """Returns the things of a prediction, and what is amiss."""
        problems = ()
        if isinstance(prediction, str):
            things = self.asked(record).get("things")
            prediction = self.task.parse(prediction, things=things)
        for name in ("masks", "boxes"):
            if hasattr(prediction, name):
                problems = prediction.problems
                prediction = getattr(prediction, name)
                break
        kinds = [one.kind for one in problems if one.kind not in _CONTENT]
        return list(prediction), kinds


class DetectEvaluator(ObjectEvaluator):
    """COCO's average precision: see `detection_scores`."""

    def __init__(self, task="detect"):
        super().__init__(task)
        self.found = []
        self.truths = []

    def judge(self, record, prediction):
        boxes, problems = self.read(record, prediction)
        if record.objects:
            truth = [thing.box for thing in record.objects]
        else:
            truth = list(self.task.parse(record.suffix).boxes)
        self.found.append(boxes)
        self.truths.append(truth)
        row = {"boxes": [[*box.yxyx, box.label, box.score] for box in boxes]}
        return row, problems

    def metrics(self):
        return detection_scores(self.found, self.truths)


class SegmentEvaluator(ObjectEvaluator):
    """Intersection over union of masks: see `mask_scores`.

    The truth are the masks of the record's objects, or those that its suffix
    codes. A prediction is a text, `Segmentations`, or a list of
    `SceneObject` with masks of the whole image.

    Args:
        codec: object with `decode(codes)`, from codes `[n, 16]` to crops
            `[n, 64, 64]` in 0..1. Not needed for `SceneObject`s.
    """

    def __init__(self, task="segment", codec=None):
        super().__init__(task)
        self.codec = codec
        self.matches = []

    def judge(self, record, prediction):
        things, problems = self.read(record, prediction)
        truth = record.objects
        if not truth or any(thing.mask is None for thing in truth):
            truth = self.task.parse(record.suffix).masks
        size = next(
            (
                np.shape(thing.mask)
                for thing in truth
                if isinstance(thing, SceneObject)
            ),
            _GRID,
        )
        matches = match_masks(
            self._labelled(things, size), self._labelled(truth, size)
        )
        self.matches.append(matches)
        row = {"ious": list(matches.ious), "extra": matches.extra}
        return row, problems

    def metrics(self):
        return mask_scores(self.matches)

    def _labelled(self, things, size):
        """Tuples of label and mask of the whole image."""
        ready = [
            (thing.box.label, np.asarray(thing.mask, bool))
            for thing in things
            if isinstance(thing, SceneObject)
        ]
        coded = [
            thing for thing in things if not isinstance(thing, SceneObject)
        ]
        if not coded:
            return ready
        if self.codec is None:
            raise ValueError(
                "Masks are in a text as codes, and need the codec that "
                "decodes them: `codec=load_mask_codec()`, from "
                "`keras_paligemma.tasks.mask_vqvae`. Received: codec=None"
            )
        crops = self.codec.decode(np.array([mask.codes for mask in coded]))
        return ready + [
            (mask.label, paste_mask(crop, mask.box, size))
            for mask, crop in zip(coded, np.asarray(crops), strict=True)
        ]
