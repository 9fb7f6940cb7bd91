"""Evaluations of predictions that are known: perfect, wrong, malformed."""

import dataclasses

import numpy as np
import pytest

from keras_paligemma.data import Record
from keras_paligemma.data.synthetic import LANGUAGES
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.evaluation import EVALUATORS
from keras_paligemma.evaluation import MAIN_METRICS
from keras_paligemma.evaluation import evaluate
from keras_paligemma.evaluation import make_evaluator
from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Detections

COUNT = 24


class GridCodec:
    """Codes the mean of each of 4 by 4 cells."""

    def encode(self, crops):
        cells = np.asarray(crops).reshape(-1, 4, 16, 4, 16).mean((2, 4))
        return np.rint(127 * cells).astype(int).reshape(-1, 16)

    def decode(self, codes):
        cells = np.asarray(codes).reshape(-1, 4, 4) / 127
        return cells.repeat(16, axis=1).repeat(16, axis=2)


WORLD = SyntheticWorld(
    64, seed=4, split="test", languages=LANGUAGES, codec=GridCodec()
)


def truth(records):
    return [record.suffix for record in records]


def run(predict, records, task, **arguments):
    return evaluate(predict, records, task, progress=False, **arguments)


def test_every_task_has_its_evaluator():
    assert set(EVALUATORS) == set(MAIN_METRICS) == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_perfect_predictions(task):
    predict = truth
    if task == "segment":

        def predict(records):
            return [list(record.objects) for record in records]

    evaluation = run(predict, WORLD.task(task, COUNT), task, batch_size=7)
    assert evaluation.count == COUNT == len(evaluation.predictions)
    assert evaluation.unparsable == 0 and not evaluation.problems
    best = {"character_error_rate": 0.0, "missing": 0.0, "extra": 0.0}
    assert MAIN_METRICS[task] in evaluation.metrics
    for name, value in evaluation.metrics.items():
        assert value == pytest.approx(best.get(name, 1.0)), name
    assert "predictions" not in evaluation.report()


@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_the_next_record_are_worse(task):
    records = WORLD.task(task, COUNT)
    texts = truth(list(records))
    texts = texts[1:] + texts[:1]
    evaluation = run(
        lambda batch: [texts.pop(0) for _ in batch],
        records,
        task,
        codec=GridCodec(),
    )
    value = evaluation.metrics[MAIN_METRICS[task]]
    if task == "ocr":
        assert value > 0.5
    else:
        assert value < 0.6
    assert evaluation.unparsable == 0


def test_coded_masks_are_decoded_and_compared_with_the_true_pixels():
    records = WORLD.task("segment", COUNT)
    metrics = run(truth, records, "segment", codec=GridCodec()).metrics
    # A grid of 4 by 4 is coarse, but finds everything.
    assert 0.5 < metrics["mean_iou"] < 0.95
    assert metrics["missing"] == metrics["extra"] == 0
    # With the truth in tokens alone, equal tokens are equal masks.
    plain = [dataclasses.replace(record, objects=()) for record in records]
    metrics = run(truth, plain, "segment", codec=GridCodec()).metrics
    assert metrics["mean_iou"] == 1.0
    boxed = [
        dataclasses.replace(
            record,
            objects=tuple(
                dataclasses.replace(thing, mask=None)
                for thing in record.objects
            ),
        )
        for record in records
    ]
    assert run(truth, boxed, "segment", codec=GridCodec()).metrics == metrics
    with pytest.raises(ValueError, match="codec=None"):
        run(truth, plain, "segment")


def test_results_by_language():
    records = list(WORLD.task("caption", COUNT))
    german = sum(record.language == "de" for record in records)
    assert 0 < german < COUNT

    def all_but_german(batch):
        return [r.suffix if r.language != "de" else "nein" for r in batch]

    metrics = run(all_but_german, records, "caption").metrics
    assert metrics["exact_match"] == pytest.approx(1 - german / COUNT)
    assert metrics["exact_match/de"] == 0.0
    assert metrics["exact_match/fr"] == 1.0


def test_what_has_not_the_form_of_the_task_is_counted():
    prefix, box = "detect cat", "<loc0000><loc0000><loc0512><loc0512>"
    record = Record(("none.png",), prefix, f"{box} cat", location="a:1")
    texts = [
        f"{box} cat",
        f"{box} dog",  # not asked for, but of the right form
        f"{box} cat ; {box} cat",  # repeated, the same
        "a cat",
        f"{box} cat ; <loc0001>",
        "",
    ]
    evaluator = make_evaluator("detect")
    rows = [evaluator.add(record, text) for text in texts]
    assert [bool(row["problems"]) for row in rows] == [
        False, False, False, True, True, False,
    ]  # fmt: skip
    assert (evaluator.count, evaluator.unparsable) == (6, 2)
    assert evaluator.problems == {"extra_text": 1, "cut_off": 1}
    evaluator = make_evaluator("caption")
    record = Record(("none.png",), "caption en", "a cat")
    for text in ("a cat", "", f"{box} cat"):
        evaluator.add(record, text)
    assert evaluator.unparsable == 2
    assert evaluator.metrics() == {"exact_match": pytest.approx(1 / 3)}


def test_typed_boxes_keep_their_scores():
    right = Box(0.0, 0.0, 0.5, 0.5, "cat", 0.4)
    wrong = Box(0.5, 0.5, 1.0, 1.0, "cat", 0.9)
    record = Record(
        ("none.png",), "detect cat", TASKS["detect"].suffix([right])
    )
    evaluation = run(
        lambda batch: [Detections((right, wrong))] * len(batch),
        [record],
        "detect",
    )
    assert evaluation.metrics["mAP@0.5"] == pytest.approx(0.5)
    (row,) = evaluation.predictions
    assert [box[-1] for box in row["boxes"]] == [0.4, 0.9]
    assert row["predicted"] == TASKS["detect"].suffix([right, wrong])


def test_any_of_several_captions_is_right():
    record = Record(
        ("none.png",), "caption en", "a cat", choices=("a cat", "one cat")
    )
    metrics = run(lambda batch: ["one cat"], [record], "caption").metrics
    assert metrics == {"exact_match": 1.0}


class Echo:
    """A model that says the prompt; every batch must be full."""

    def __init__(self):
        self.sizes = []

    def generate(self, inputs, max_length, strip_prompt):
        assert strip_prompt and max_length == 9
        assert all(image.size == (64, 64) for image in inputs["images"])
        self.sizes.append(len(inputs["prompts"]))
        return list(inputs["prompts"])


def test_a_model_is_asked_in_batches_of_one_size(capsys):
    model = Echo()
    records = WORLD.task("answer", 5)
    evaluation = evaluate(
        model, records, "answer", batch_size=2, max_length=9, progress=True
    )
    assert model.sizes == [2, 2, 2]
    assert [row["predicted"] for row in evaluation.predictions] == [
        record.prefix for record in records
    ]
    printed = capsys.readouterr()
    assert printed.out == "" and "evaluate answer" in printed.err


@pytest.mark.parametrize(
    "records, task, predict, said",
    [
        ([], "caption", truth, "0 records"),
        (WORLD.task("ocr", 2), "reading", truth, "task='reading'"),
        (
            WORLD.task("ocr", 2),
            "ocr",
            lambda batch: ["a"],
            "1 predictions of 2",
        ),
    ],
)
def test_mistakes_are_named(records, task, predict, said):
    with pytest.raises(ValueError, match=said):
        run(predict, records, task)
