"""Learning rates by component: shown in the logs, or set from a schedule."""

import keras

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.optimizer import ComponentOptimizer

COMPONENTS = ("image_encoder", "projector", "embedding", "decoder")


class ComponentRates(StepCallback):
    """Puts the learning rates into the logs, as `rate/image_encoder`.

    With an optimizer that has one rate, that is `rate/all`, and a schedule
    given here sets it: so a model compiled with any Keras optimizer gets a
    warm-up. Of a `ComponentAdam`, whose table holds the schedules, it sets
    the factor on all of them.

    Example:

    ```python
    warmup = ConstantSchedule(peak=1e-5, warmup_steps=500)
    model.compile(optimizer=keras.optimizers.Adam())
    model.fit(..., callbacks=[ComponentRates(schedule=warmup)])
    ```

    Args:
        every: int. Steps from one log to the next.
        schedule: `keras.optimizers.schedules.LearningRateSchedule`, callable
            of the step, or `None`. It takes effect in the very step that it
            is evaluated at.
    """

    def __init__(self, every=10, schedule=None):
        super().__init__()
        self.every = check_every(every)
        self.schedule = schedule
        self._was = None
        self._batches_an_update = None

    def on_train_begin(self, logs=None):
        self._was = None
        self._batches_an_update = None

    def on_train_batch_begin(self, batch, logs=None):
        if self.schedule is None:
            return
        update = self.step // self._accumulated()
        rate = float(keras.ops.convert_to_numpy(self.schedule(update)))
        if rate != self._was:
            self._optimizer().learning_rate = rate
            self._was = rate

    def on_step_end(self, step, logs):
        if self.due(self.every):
            for name, rate in self.rates(step - 1).items():
                logs[f"rate/{name}"] = rate

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            for name, rate in self.rates(self.step - 1).items():
                logs[f"rate/{name}"] = rate

    def rates(self, batches):
        """The rates of the update after so many batches, by component.

        Args:
            batches: int. Trained on before.

        Returns:
            dict of name to float: components where the table tells them
            apart, patterns that are no component's as they are, and `all`
            for what has no row of its own.
        """
        optimizer = self._optimizer()
        update = batches // self._accumulated()
        if not isinstance(optimizer, ComponentOptimizer):
            rate = keras.ops.convert_to_numpy(optimizer.learning_rate)
            return {"all": float(rate)}
        named = {}
        for pattern, rate in optimizer.rates(update).items():
            named[component_name(pattern)] = rate
        return named

    def _optimizer(self):
        # On JAX asking for the model fetches its values from the trainer,
        # which takes milliseconds.
        optimizer = self.model.optimizer
        # What scales the loss has the rate of the optimizer within.
        return getattr(optimizer, "inner_optimizer", optimizer)

    def _accumulated(self):
        if self._batches_an_update is None:
            steps = self._optimizer().gradient_accumulation_steps
            self._batches_an_update = steps or 1
        return self._batches_an_update


def component_name(pattern):
    """What logs call a row of a table of rates.

    Example:

    ```python
    component_name(r"^(.*/)?image_encoder/.*")  # "image_encoder"
    component_name(".*")  # "all"
    ```
    """
    found = [name for name in COMPONENTS if name in pattern]
    if found:
        return "+".join(found)
    return "all" if pattern in (".*", "^.*$") else pattern
