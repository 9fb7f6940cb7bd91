"""How many examples of each task a run has seen."""

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback


class ExamplesSeen(StepCallback):
    """Puts examples and epochs seen, by task, into the logs.

    They are computed from the step, so nothing is lost in a resumed run.

    Example:

    ```python
    model.fit(batches, callbacks=[ExamplesSeen(mixture, batch_size=64)])
    # logs: {"examples": 640, "examples/caption": 480, "epochs/caption": 1.6}
    ```

    Args:
        source: object with `examples_seen(num_examples, by="task")`, which
            returns a dict of task to count, and optionally `epochs_seen`
            likewise; a `Mixture`.
        batch_size: int. Examples a step, of all processes together.
        every: int. Steps from one log to the next.

    Raises:
        ValueError: If the source cannot count, or a number does not fit.
    """

    def __init__(self, source, batch_size, every=10):
        super().__init__()
        if not callable(getattr(source, "examples_seen", None)):
            raise ValueError(
                "`source` must have a method `examples_seen(num_examples, "
                'by="task")`, as a `Mixture` has. Received: '
                f"{type(source).__name__}"
            )
        self.source = source
        self.batch_size = check_every(batch_size, "batch_size")
        self.every = check_every(every)

    def on_step_end(self, step, logs):
        if self.due(self.every):
            logs.update(self.counts())

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self.counts())

    def counts(self):
        """A dict of log names to examples and epochs seen until now."""
        seen = self.step * self.batch_size
        counts = {"examples": seen}
        for task, count in self.source.examples_seen(seen, by="task").items():
            counts[f"examples/{task}"] = count
        if hasattr(self.source, "epochs_seen"):
            for task, epochs in self.source.epochs_seen(
                seen, by="task"
            ).items():
                counts[f"epochs/{task}"] = epochs
        return counts
