"""Optimizers whose learning rate, decay and freezing go by component.

`ComponentOptimizer` resolves the table, clips, decays and hands each variable
its rate; `ComponentAdam` and, in `adafactor.py`, `ComponentAdafactor` say how
a step follows from a gradient. All arithmetic and all state is float32, also
for variables of lower precision: bfloat16 rounds `0.999` to 1, so that
Adam's mean of squares would never move.
"""

import math

import keras
from keras import ops

from keras_paligemma.training.component_plan import ComponentPlan
from keras_paligemma.training.gradients import prepared_gradients
from keras_paligemma.training.gradients import times_added_up


class ComponentOptimizer(keras.optimizers.Optimizer):
    """Base of optimizers with a schedule for each component.

    A subclass extends `create_slots(variable)`, which returns a dict of
    optimizer variables, and `step(gradient, slots)`, which updates them and
    returns the direction, to be multiplied by the rate and subtracted.

    Every variable that the optimizer is built with must be matched by the
    table. A variable under `None` keeps its value bit for bit, has no slots,
    and no share in the clipped norm or the decay; `freeze` saves computing
    its gradient too, and hides it from the optimizer, so a `None` row may
    match nothing here. Schedules are evaluated at `iterations`, which counts
    updates of the variables: the first update sees 0, and
    `gradient_accumulation_steps` batches count as one.

    Args:
        table: list of (pattern, schedule). The pattern must match the whole
            path of a variable, the first that does wins (see
            `component_table.py`). The schedule is a float, a
            `keras.optimizers.schedules.LearningRateSchedule`, or `None` to
            freeze.
        learning_rate: float or schedule. A factor on all rates of the
            table, so that callbacks that set `optimizer.learning_rate` scale
            them together. Keras evaluates a schedule here once per batch,
            also when gradients are accumulated.
        weight_decay: float, list of (pattern, float), or `None`. Decoupled
            decay of the trained variables. A float is for the kernels of
            the image encoder and the projector only, as published; in a list
            the first match wins, and variables without a match are spared.
        decay_times_rate: bool. If `True`, as in Keras and AdamW, a variable
            loses `decay * rate` of itself in an update; else, as in
            big_vision, `decay * rate / peak`, peak being the highest rate of
            its schedule (`component_table.peak_rate`).
        global_clipnorm: float or `None`. Gradients of all trained variables
            together are scaled down to this norm, after accumulation.
        model_name: string or `None`. Name in front of the paths that
            patterns may leave out; `PaliGemmaCausalLM` has none.
        **kwargs: Further arguments of `keras.Optimizer`.

    Raises:
        ValueError: If the table or the decay is not of that form; or in
            `build`, if a variable is not matched, or a pattern has none.
    """

    def __init__(
        self,
        table,
        *,
        learning_rate=1.0,
        weight_decay=None,
        decay_times_rate=False,
        global_clipnorm=None,
        model_name=None,
        **kwargs,
    ):
        super().__init__(
            learning_rate=learning_rate,
            global_clipnorm=global_clipnorm,
            **kwargs,
        )
        self.plan = ComponentPlan(
            table, weight_decay, decay_times_rate, model_name
        )

    def create_slots(self, variable):
        """Returns a dict of name to optimizer variable."""
        return {}

    def step(self, gradient, slots):
        """Returns the step of a float32 gradient at rate 1."""
        return gradient

    def build(self, variables):
        """Resolves the table and creates the slots of trained variables."""
        if self.built:
            return
        trained = self.plan.resolve(variables)
        super().build(trained)
        for variable in trained:
            self.plan.row_of(variable).slots = self.create_slots(variable)

    def add_slot(self, variable, name, dtype="float32", without_axis=None):
        """Adds an optimizer variable that is shaped and laid out as another.

        It lacks the axis `without_axis`, unless that is `None`.
        """
        if variable.dtype == dtype and without_axis is None:
            return self.add_variable_from_reference(variable, name=name)
        shape, layout = list(variable.shape), None
        distribution = keras.distribution.distribution()
        if distribution is not None:
            layout = distribution.get_variable_layout(variable)
        if without_axis is not None:
            del shape[without_axis]
        if without_axis is not None and layout is not None:
            axes = list(layout.axes)
            del axes[without_axis]
            mesh = layout.device_mesh
            layout = keras.distribution.TensorLayout(axes, mesh)
        return self.add_variable(
            shape=shape,
            dtype=dtype,
            layout=layout,
            name=f"{variable.path.replace('/', '_')}_{name}",
        )

    def rates(self, step=None):
        """Returns the rates as a dict of pattern to float.

        Args:
            step: int or `None`. Number of updates made before; `None` is as
                many as there were, so these are the rates of the next one.

        Returns:
            Dict of each trained pattern, `learning_rate` included.
        """
        factor = float(ops.convert_to_numpy(self.learning_rate))
        step = self.iterations if step is None else ops.convert_to_tensor(step)
        return {
            pattern: factor
            * (
                float(ops.convert_to_numpy(schedule(step)))
                if callable(schedule)
                else float(schedule)
            )
            for pattern, schedule in self.plan.table
            if schedule is not None
        }

    def apply(self, grads, trainable_variables=None):
        """Updates the variables; see `keras.Optimizer.apply`."""
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            if not self.built:
                self.build(trainable_variables)
        grads = prepared_gradients(
            self.plan.without_frozen(grads, trainable_variables),
            over_replicas=self.global_clipnorm is not None,
        )
        trained = trainable_variables and self.plan.without_frozen(
            trainable_variables, trainable_variables
        )
        # Once a step, not once a variable.
        self.plan.rates = [
            schedule(self.iterations) if callable(schedule) else schedule
            for _, schedule in self.plan.table
        ]
        try:
            super().apply(grads, trained)
            self.finish_update()
        finally:
            # On JAX they are of the trace that ends here.
            self.plan.rates = None

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """See `keras.Optimizer.stateless_apply`; frozen values stay."""
        trained, optimizer_variables = super().stateless_apply(
            optimizer_variables,
            self.plan.without_frozen(grads),
            self.plan.without_frozen(trainable_variables),
        )
        if len(trained) == len(trainable_variables):
            return trained, optimizer_variables
        updated = iter(trained)
        values = [
            value if row.frozen else next(updated)
            for row, value in zip(
                self.plan.rows, trainable_variables, strict=True
            )
        ]
        return values, optimizer_variables

    def update_step(self, gradient, variable, learning_rate):
        """Decays and updates one variable."""
        slots = self.plan.row_of(variable).slots
        times = times_added_up(self.global_clipnorm is not None)
        gradient = ops.cast(gradient, "float32") / times
        self.move(variable, self.step(gradient, slots), learning_rate)

    def finish_update(self):
        """Called when all variables had their `update_step`."""

    def move(self, variable, direction, learning_rate):
        """Decays one variable, and moves it against a direction."""
        row = self.plan.row_of(variable)
        rate = ops.cast(learning_rate, "float32")
        value = ops.cast(variable, "float32")
        rate = rate * ops.cast(self.plan.rates[row.index], "float32")
        change = rate * direction
        if row.decay:
            change = change + value * (rate * row.decay)
        self.assign(variable, ops.cast(value - change, variable.dtype))

    def finalize_variable_values(self, var_list):
        """Sets moving averages, where kept; see `keras.Optimizer`."""
        super().finalize_variable_values(
            self.plan.without_frozen(var_list, var_list)
        )

    def get_config(self):
        config = super().get_config()
        config.update(self.plan.get_config())
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        table = [
            (
                pattern,
                keras.saving.deserialize_keras_object(
                    schedule, custom_objects=custom_objects
                )
                if isinstance(schedule, dict)
                else schedule,
            )
            for pattern, schedule in config["table"]
        ]
        return super().from_config(
            {**config, "table": table}, custom_objects=custom_objects
        )


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ComponentAdam(ComponentOptimizer):
    """Adam, or AdamW, with a schedule for each component.

    ```python
    slow = keras.optimizers.schedules.PolynomialDecay(0.0, 1000, 1e-6)
    optimizer = ComponentAdam(
        [("embedding/.*", None), ("image_encoder/.*", slow), (".*", 1e-5)],
        global_clipnorm=1.0,
    )
    task.compile(optimizer=optimizer)
    task.fit(...)
    optimizer.rates()  # {"image_encoder/.*": 2e-08, ".*": 1e-05}
    ```

    Args:
        table: list of (pattern, schedule). See `ComponentOptimizer`.
        beta_1: float. Decay of the mean of gradients.
        beta_2: float. Decay of the mean of squared gradients.
        epsilon: float. Added to the root of the corrected mean of squares,
            as in Algorithm 1 of the paper.
        **kwargs: Further arguments of `ComponentOptimizer`.
    """

    def __init__(self, table, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(table, **kwargs)
        for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= beta < 1:
                raise ValueError(
                    f"`{name}` must be at least 0 and below 1. Received: "
                    f"{name}={beta}"
                )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def create_slots(self, variable):
        return {
            name: self.add_slot(variable, name)
            for name in ("momentum", "velocity")
        }

    def step(self, gradient, slots):
        count = ops.cast(self.iterations + 1, "float32")
        mean, square = slots["momentum"], slots["velocity"]
        self.assign(mean, mean + (gradient - mean) * (1 - self.beta_1))
        self.assign(
            square,
            square + (ops.square(gradient) - square) * (1 - self.beta_2),
        )
        mean = mean / _one_minus_power(self.beta_1, count)
        square = square / _one_minus_power(self.beta_2, count)
        return mean / (ops.sqrt(square) + self.epsilon)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _one_minus_power(beta, count):
    """`1 - beta**count`, to the last bits also where that is small."""
    if not beta:
        return 1.0
    return -ops.expm1(count * math.log(beta))
