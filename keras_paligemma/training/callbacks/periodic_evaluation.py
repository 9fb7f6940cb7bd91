"""Evaluation at a cadence of steps, also in the midst of an epoch."""

import numbers

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.callbacks.step_numbers import as_numbers
from keras_paligemma.training.callbacks.undisturbed import undisturbed


class PeriodicEvaluation(StepCallback):
    """Evaluates every so many steps and puts the results into the logs.

    Training goes on as without it, to the bit; its running metrics too. The
    results are in the logs of the step, for callbacks further down the list,
    and of the epoch that it was in, for the history and for callbacks such
    as `keras.callbacks.ModelCheckpoint`.

    Examples:

    ```python
    evaluation = PeriodicEvaluation(validation, every=500, batch_size=16)
    model.fit(batches, callbacks=[evaluation, JSONLog("log.jsonl", 500)])
    evaluation.results[-1]  # {"step": 1000, "val_loss": 1.2, ...}
    ```

    A measure of your own.
    ```python
    def exact_match(model):
        texts = model.generate(questions, strip_prompt=True)
        return {"exact_match": np.mean(np.equal(texts, answers))}

    PeriodicEvaluation(exact_match, every=500, name="vqa")  # vqa_exact_match
    ```

    Args:
        data: what `model.evaluate` takes as `x`, or a tuple of `x`, `y` and
            perhaps `sample_weight`; or a callable of the model that returns a
            dict of name to number.
        every: int. Steps from one evaluation to the next.
        name: string. In front of the names in the logs.
        batch_size: int or `None`. As for `model.evaluate`.
        steps: int or `None`. As for `model.evaluate`.

    Attributes:
        results: list of dicts, one an evaluation, with the `step`. They stay
            in checkpoints.

    Raises:
        ValueError: If the data can be read only once, or an argument does
            not fit; in `fit`, if a callable returns no such dict.
    """

    def __init__(self, data, every, name="val", batch_size=None, steps=None):
        super().__init__()
        if hasattr(data, "__next__"):
            raise ValueError(
                "`data` must be something that can be read again and again: "
                "a dataset, a dict of lists, a `PyDataset`. Received: an "
                f"iterator, data={data!r}"
            )
        if not isinstance(name, str) or not name:
            raise ValueError(
                "`name` must be the beginning of the names in the logs, such "
                f'as "val". Received: name={name!r}'
            )
        self.data = data
        self.every = check_every(every)
        self.name = name
        self.batch_size = batch_size and check_every(batch_size, "batch_size")
        self.steps = steps and check_every(steps, "steps")
        self.results = []

    def get_state(self):
        return {"results": self.results}

    def set_state(self, state):
        self.results = list(state["results"])

    def on_step_end(self, step, logs):
        if self.due(self.every):
            results = self.evaluate()
            self.results.append({"step": step, **results})
            logs.update(results)

    def on_epoch_end(self, epoch, logs=None):
        if logs is None or not self.results:
            return
        newest = dict(self.results[-1])
        if newest.pop("step") > self._epoch_begin:
            for name, value in newest.items():
                logs.setdefault(name, value)

    def evaluate(self):
        """Evaluates now; returns a dict of name in the logs to float."""
        model = self.model
        with undisturbed(model):
            if callable(self.data):
                results = self.data(model)
            else:
                results = model.evaluate(**self._arguments())
        numbers_only = isinstance(results, dict) and len(
            as_numbers(results)
        ) == len(results)
        if not numbers_only:
            raise ValueError(
                "A function that evaluates must return a dict of name to "
                f"number. Received: {results!r}"
            )
        return {
            f"{self.name}_{name}": as_plain(value)
            for name, value in as_numbers(results).items()
        }

    def _arguments(self):
        arguments = {
            "batch_size": self.batch_size,
            "steps": self.steps,
            "verbose": 0,
            "return_dict": True,
        }
        if isinstance(self.data, tuple):
            names = ("x", "y", "sample_weight")
            arguments.update(zip(names, self.data, strict=False))
        else:
            arguments["x"] = self.data
        return arguments


def as_plain(value):
    """A number as one of Python's own, which JSON can hold."""
    return int(value) if isinstance(value, numbers.Integral) else float(value)
