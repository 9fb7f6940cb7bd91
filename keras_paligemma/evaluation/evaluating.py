"""`evaluate`: a model's answers to records, generated and measured."""

import dataclasses
import time

import rich.console
import rich.progress

from keras_paligemma.evaluation.evaluators import make_evaluator
from keras_paligemma.tasks import write_locations


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        task: str.
        count: int. How many records were evaluated.
        metrics: dict of name to float.
        unparsable: int. Outputs that have not the form of the task.
        problems: dict of kind to int. What was amiss in how many places.
        seconds: float. Of generating and measuring.
        predictions: list of dicts, one a record: `location`, `prefix`,
            `expected`, `predicted`, and what is known of it alone.
    """

    task: str
    count: int
    metrics: dict
    unparsable: int
    problems: dict
    seconds: float
    predictions: list = dataclasses.field(default_factory=list, repr=False)

    def report(self):
        """All but the predictions, as a dict that JSON can hold."""
        names = [field.name for field in dataclasses.fields(self)]
        return {
            name: getattr(self, name) for name in names if name != "predictions"
        }


def evaluate(
    model,
    records,
    task,
    batch_size=8,
    max_length=None,
    codec=None,
    progress=True,
):
    """Generates an answer to each record and measures the answers.

    Examples:

    ```python
    world = SyntheticWorld(image_size=224, seed=1, split="test")
    evaluation = evaluate(model, world.task("caption", 1000), "caption")
    evaluation.metrics["exact_match"], evaluation.unparsable
    ```

    Boxes with scores, and within training.
    ```python
    def detect(records):
        images = [record.decoded().images[0] for record in records]
        things = [
            list(TASKS["detect"].read_prefix(record.prefix)["things"])
            for record in records
        ]
        return PaliGemmaTasks(model).detect(images, things)

    evaluate(detect, records, "detect").metrics["mAP@0.5"]
    PeriodicEvaluation(
        lambda model: evaluate(model, records, "ocr", progress=False).metrics,
        every=1000,
        name="ocr",
    )
    ```

    Args:
        model: a model with `generate`, such as `PaliGemmaCausalLM`; or a
            callable that takes a list of records and returns as many
            predictions: texts, or what the task's `parse` returns.
        records: sequence of `Record`, all of the task.
        task: str. A key of `keras_paligemma.tasks.TASKS`.
        batch_size: int. Records that are decoded together.
        max_length: int or `None`. As for `generate`.
        codec: the codec of masks, for the task segment.
        progress: bool. Whether to show a bar, on the standard error.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: If there are no records, no such task, or another number
            of predictions than of records.
    """
    evaluator = make_evaluator(task, codec)
    if len(records) == 0 or batch_size < 1:
        raise ValueError(
            "An evaluation needs one record at least, and a batch size of at "
            f"least 1. Received: {len(records)} records, "
            f"batch_size={batch_size}"
        )
    predict = model
    if hasattr(model, "generate"):
        predict = _generating(model, batch_size, max_length)
    began = time.perf_counter()
    rows = []
    with _bar(progress) as bar:
        shown = bar.add_task(f"evaluate {task}", total=len(records))
        for start in range(0, len(records), batch_size):
            stop = min(start + batch_size, len(records))
            batch = [records[index] for index in range(start, stop)]
            answers = list(predict(batch))
            if len(answers) != len(batch):
                raise ValueError(
                    "`model` must return one prediction for each record. "
                    f"Received: {len(answers)} predictions of {len(batch)} "
                    "records"
                )
            for record, answer in zip(batch, answers, strict=True):
                rows.append(_row(record, answer, evaluator.add(record, answer)))
            bar.advance(shown, len(batch))
        metrics = evaluator.metrics()
    return Evaluation(
        task=task,
        count=evaluator.count,
        metrics={name: float(value) for name, value in metrics.items()},
        unparsable=evaluator.unparsable,
        problems=dict(sorted(evaluator.problems.items())),
        seconds=time.perf_counter() - began,
        predictions=rows,
    )


def _generating(model, batch_size, max_length):
    def predict(records):
        rows = [record.raw() for record in records]
        # A batch of another size would be compiled anew; no row's text
        # depends on the others.
        rows += rows[-1:] * (batch_size - len(rows))
        inputs = {key: [row[key] for row in rows] for key in _INPUTS}
        texts = model.generate(inputs, max_length=max_length, strip_prompt=True)
        return texts[: len(records)]

    return predict


_INPUTS = ("images", "prompts")


def _row(record, answer, judged):
    return {
        "location": record.location,
        "prefix": record.prefix,
        "expected": record.suffix,
        "predicted": answer if isinstance(answer, str) else _written(answer),
        **judged,
    }


def _written(answer):
    """A typed prediction as the text that it would be."""
    things = getattr(answer, "masks", getattr(answer, "boxes", answer))
    return " ; ".join(_written_thing(thing) for thing in things)


def _written_thing(thing):
    if hasattr(thing, "tokens"):
        return f"{thing.tokens()} {thing.label}"
    return f"{write_locations(thing.box.yxyx)} {thing.box.label}"


def _bar(progress):
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=rich.console.Console(stderr=True),
        disable=not progress,
    )
