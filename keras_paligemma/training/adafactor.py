"""Adafactor with a schedule for each component."""

import keras
from keras import ops

from keras_paligemma.training.optimizer import ComponentOptimizer


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ComponentAdafactor(ComponentOptimizer):
    """Adafactor as in big_vision: squared gradients by row and column.

    Of a matrix of n by m it keeps n + m mean squares in place of n * m, and
    the momentum in bfloat16: 2 bytes a parameter where Adam takes 8. Unlike
    the paper's, and Keras', the rate is not multiplied by the size of the
    weights, so rates are about those of Adam.

    ```python
    optimizer = ComponentAdafactor([("image_encoder/.*", None), (".*", 1e-5)])
    ```

    Args:
        table: list of (pattern, schedule). See `ComponentOptimizer`.
        decay_exponent: float. The mean of squares decays by
            `1 - step ** -decay_exponent`.
        beta_2_cap: float. But by no more than this.
        clip_threshold: float or `None`. The root mean square that the step
            of one variable is scaled down to; 1 in the paper.
        momentum: float or `None`. Decay of the mean of steps, which is not
            corrected for its start.
        momentum_dtype: string.
        min_size_to_factor: int. Rows and columns are kept where the last two
            axes are both at least that long, else every square is.
        epsilon: float. Added to squared gradients.
        **kwargs: Further arguments of `ComponentOptimizer`.
    """

    def __init__(
        self,
        table,
        decay_exponent=0.8,
        beta_2_cap=0.999,
        clip_threshold=None,
        momentum=0.9,
        momentum_dtype="bfloat16",
        min_size_to_factor=32,
        epsilon=1e-30,
        **kwargs,
    ):
        super().__init__(table, **kwargs)
        self.decay_exponent = decay_exponent
        self.beta_2_cap = beta_2_cap
        self.clip_threshold = clip_threshold
        self.momentum = momentum
        self.momentum_dtype = momentum_dtype
        self.min_size_to_factor = min_size_to_factor
        self.epsilon = epsilon

    def create_slots(self, variable):
        slots = {}
        shape = tuple(variable.shape)
        if len(shape) > 1 and min(shape[-2:]) >= self.min_size_to_factor:
            slots["rows"] = self.add_slot(variable, "rows", without_axis=-1)
            slots["columns"] = self.add_slot(
                variable, "columns", without_axis=-2
            )
        else:
            slots["velocity"] = self.add_slot(variable, "velocity")
        if self.momentum:
            slots["momentum"] = self.add_slot(
                variable, "momentum", self.momentum_dtype
            )
        return slots

    def step(self, gradient, slots):
        count = ops.cast(self.iterations + 1, "float32")
        beta_2 = ops.minimum(
            self.beta_2_cap, 1.0 - ops.power(count, -self.decay_exponent)
        )
        squares = ops.square(gradient) + self.epsilon

        def averaged(slot, new):
            mean = beta_2 * slot + (1.0 - beta_2) * new
            self.assign(slot, mean)
            return mean

        if "rows" in slots:
            rows = averaged(slots["rows"], ops.mean(squares, axis=-1))
            columns = averaged(slots["columns"], ops.mean(squares, axis=-2))
            rows = rows / ops.mean(rows, axis=-1, keepdims=True)
            # One root after the other: the product of two means of squares
            # of small gradients is below what float32 holds.
            step = gradient * ops.rsqrt(rows)[..., None]
            step = step * ops.rsqrt(columns)[..., None, :]
        else:
            step = gradient * ops.rsqrt(averaged(slots["velocity"], squares))
        if self.clip_threshold:
            size = ops.sqrt(ops.mean(ops.square(step)))
            step = step / ops.maximum(1.0, size / self.clip_threshold)
        if self.momentum:
            mean = slots["momentum"]
            step = self.momentum * ops.cast(mean, "float32") + step * (
                1.0 - self.momentum
            )
            self.assign(mean, ops.cast(step, mean.dtype))
        return step

    def get_config(self):
        return {
            **super().get_config(),
            "decay_exponent": self.decay_exponent,
            "beta_2_cap": self.beta_2_cap,
            "clip_threshold": self.clip_threshold,
            "momentum": self.momentum,
            "momentum_dtype": self.momentum_dtype,
            "min_size_to_factor": self.min_size_to_factor,
            "epsilon": self.epsilon,
        }
