"""The progress of a run: steps, loss, rates, examples a second, time left."""

import time

import rich.console
import rich.progress

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_numbers import StepNumbers
from keras_paligemma.training.callbacks.step_numbers import as_numbers


class ProgressBar(StepNumbers):
    """Shows how far a run is, over all its epochs.

    A bar on a terminal; elsewhere a line now and then.

    ```
    step 300/2000 ━━━━╸─────── 15 % loss 2.31 rate/all 1e-05 210 examples/s
    0:12:40 left
    ```

    Args:
        total_steps: int. Of the run.
        batch_size: int. Examples a step.
        every: int. Steps from one look at the loss to the next, and from
            line to line where there is no terminal.
        console: `rich.console.Console` or `None`.

    Raises:
        ValueError: If a number is not 1 or more.
    """

    def __init__(self, total_steps, batch_size, every=10, console=None):
        super().__init__()
        self.total_steps = check_every(total_steps, "total_steps")
        self.batch_size = check_every(batch_size, "batch_size")
        self.every = check_every(every)
        self.console = console or rich.console.Console()
        self._progress = None
        self._started = None

    def on_train_begin(self, logs=None):
        self._started = (time.monotonic(), self.step)
        if self.console.is_terminal:
            self._progress = rich.progress.Progress(
                rich.progress.TextColumn("step {task.completed}/{task.total}"),
                rich.progress.BarColumn(),
                rich.progress.TaskProgressColumn(),
                rich.progress.TextColumn("{task.fields[text]}"),
                rich.progress.TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._progress.add_task(
                "train", total=self.total_steps, completed=self.step, text=""
            )
            self._progress.start()

    def on_step_end(self, step, logs):
        due = self.due(self.every) or step >= self.total_steps
        text = self.text(logs) if due else None
        if self._progress is not None:
            changes = {} if text is None else {"text": text}
            self._progress.update(self._task, completed=step, **changes)
        elif text is not None:
            self._print(text)

    def on_epoch_end(self, epoch, logs=None):
        values = {k: v for k, v in as_numbers(logs or {}).items() if "val" in k}
        if values:
            text = " ".join(f"{k} {v:.4g}" for k, v in values.items())
            self.console.print(f"step {self.step} {text}", highlight=False)

    def on_train_end(self, logs=None):
        self.stop()

    def stop(self):
        """Gives the terminal back; also to be called when training failed."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def text(self, logs):
        """Loss since the last look, rates and speed as one line."""
        numbers = self.numbers(logs)
        shown = [
            f"{name} {value:.4g}"
            for name, value in numbers.items()
            if name == "loss" or name.startswith("rate/")
        ]
        return " ".join([*shown, f"{self.speed():.3g} examples/s"])

    def speed(self):
        """Examples a second since training began."""
        begin, first = self._started
        seconds = max(time.monotonic() - begin, 1e-9)
        return (self.step - first) * self.batch_size / seconds

    def _print(self, text):
        steps_left = self.total_steps - self.step
        seconds = steps_left * self.batch_size / max(self.speed(), 1e-9)
        minutes, seconds = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        self.console.print(
            f"step {self.step}/{self.total_steps} {text} "
            f"{hours}:{minutes:02}:{seconds:02} left",
            highlight=False,
            soft_wrap=True,
        )
