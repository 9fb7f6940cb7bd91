"""A log of one JSON object a line, which a resumed run goes on with."""

import json
import os
from pathlib import Path

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_numbers import StepNumbers
from keras_paligemma.training.callbacks.step_numbers import as_numbers


class JSONLog(StepNumbers):
    """Writes the logs of steps and epochs to a file, a line each.

    A step's loss and metrics are means of the steps since the line before
    (see `StepNumbers`), an epoch's are its own.

    Lines of steps past the checkpoint that a run goes on from are taken
    away, so that no step stands there twice.

    Example:

    ```python
    model.fit(batches, callbacks=[JSONLog("log.jsonl", every=10)])
    # {"step": 10, "loss": 5.1, "rate/decoder": 1e-06}
    ```

    Args:
        path: path.
        every: int. Steps from one line to the next.
    """

    def __init__(self, path, every=10):
        super().__init__()
        self.path = Path(path)
        self.every = check_every(every)

    def on_train_begin(self, logs=None):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            keep_lines_until(self.path, self.step)

    def on_step_end(self, step, logs):
        if self.due(self.every):
            self._write({"step": step, **self.numbers(logs)})

    def on_epoch_end(self, epoch, logs=None):
        line = {"step": self.step, "epoch": epoch + 1}
        self._write({**line, **as_numbers(logs or {})})

    def _write(self, line):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def keep_lines_until(path, step):
    """Drops the lines of later steps, and one that was cut off.

    Args:
        path: `pathlib.Path`.
        step: int. The last to keep.
    """
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    temporary = path.with_name(f".{path.name}")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)
