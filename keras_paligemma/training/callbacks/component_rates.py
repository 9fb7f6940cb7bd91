"""Learning rates by component: shown in the logs, or set from a schedule."""

import keras

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.rate_tables import inner_optimizer
from keras_paligemma.training.callbacks.rate_tables import set_rates
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.component_table import check_rates
from keras_paligemma.training.optimizer import ComponentOptimizer

COMPONENTS = ("image_encoder", "projector", "embedding", "decoder")


class ComponentRates(StepCallback):
    """Puts the learning rates into the logs, as `rate/image_encoder`.

    With an optimizer that has one rate, that is `rate/all`, and a schedule
    given here sets it: so a model compiled with any Keras optimizer gets a
    warm-up. Of a `ComponentAdam`, whose table holds the schedules, it sets
    the factor on all of them; and a table given here takes the place of the
    one it was made with.

    Examples:

    ```python
    warmup = ConstantSchedule(peak=1e-5, warmup_steps=500)
    model.compile(optimizer=keras.optimizers.Adam())
    model.fit(..., callbacks=[ComponentRates(schedule=warmup)])
    ```

    Other rates than the model was compiled with.
    ```python
    table = [("image_encoder/.*", warmup), (".*", 1e-5)]
    model.fit(..., callbacks=[ComponentRates(table=table)])
    ```

    Args:
        every: int. Steps from one log to the next.
        schedule: `keras.optimizers.schedules.LearningRateSchedule`, callable
            of the number of updates made, or `None`. It takes effect in the
            very step that it is evaluated at.
        table: list of (pattern, schedule) as for `ComponentAdam`, or `None`.
            What was frozen stays frozen, and must be under `None` here too.

    Raises:
        ValueError: If the schedule or the table is none, or both are given;
            in `fit`, if the table does not fit the optimizer.
    """

    def __init__(self, every=10, schedule=None, table=None):
        super().__init__()
        self.every = check_every(every)
        if schedule is not None and not callable(schedule):
            raise ValueError(
                "`schedule` must be callable with the number of updates made, "
                "as `keras.optimizers.schedules.LearningRateSchedule` is. "
                f"Received: schedule={schedule!r}"
            )
        if schedule is not None and table is not None:
            raise ValueError(
                "Give `schedule`, a rate or factor for all, or `table`, rates "
                "by component. Received: both"
            )
        self.schedule = schedule
        self.table = None if table is None else check_rates(table)
        self._was = None
        self._batches_an_update = None

    def on_train_begin(self, logs=None):
        self._was = None
        self._batches_an_update = None
        if self.table is not None:
            set_rates(self.model, self.table)

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
        return inner_optimizer(self.model)

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
