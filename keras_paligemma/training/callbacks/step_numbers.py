"""What the logs of a step say of the steps since the last look."""

import keras

from keras_paligemma.training.callbacks.step_callback import StepCallback


class StepNumbers(StepCallback):
    """A callback that looks at the logs of some steps, as numbers.

    Keras' loss and metrics are means since the epoch began, which hide what
    happens late in an epoch and jump where one begins. `numbers` gives the
    means of the steps since it was last called in the epoch instead: from
    the means m and M of the first n and N batches, m + (M - m) N / (N - n).
    Of metrics that weigh tokens, up to how many tokens the batches have.

    Example:

    ```python
    class Show(StepNumbers):
        def on_step_end(self, step, logs):
            if self.due(100):
                print(self.numbers(logs))  # of these 100 steps
    ```
    """

    def __init__(self):
        super().__init__()
        self._seen = 0
        self._means = {}
        self._averaged = None

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._seen = 0
        self._means = {}
        self._averaged = None

    def numbers(self, logs):
        """The numbers among the logs; means are those since the last call."""
        numbers = as_numbers(logs)
        steps = self.step - self._epoch_begin
        new = steps - self._seen
        if self._averaged is None:
            self._averaged = self._metric_names()
        means = {k: v for k, v in numbers.items() if k in self._averaged}
        if new > 0:
            for name, mean in means.items():
                before = self._means.get(name, 0.0)
                numbers[name] = before + (mean - before) * steps / new
            self._seen, self._means = steps, means
        return numbers

    def _metric_names(self):
        """What of the logs Keras averages; the rest callbacks added.

        Asked once an epoch: on JAX it brings the model up to date.
        """
        metrics = {} if self.model is None else self.model.get_metrics_result()
        return {"loss", *metrics}


def as_numbers(logs):
    """The numbers among the logs, as floats and ints."""
    numbers = {}
    for name, value in logs.items():
        if not isinstance(value, (int, float)):
            try:
                value = float(keras.ops.convert_to_numpy(value))
            except (TypeError, ValueError):
                continue
        numbers[name] = value
    return numbers
