"""The rates of `rate_functions` as Keras learning rate schedules."""

import keras

from keras_paligemma.training import rate_functions


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """What the schedules share: a peak, a linear warm-up and cooldown.

    Args:
        peak: float. The highest rate.
        warmup_steps: int. Steps of the linear warm-up from zero.
        cooldown_steps: int. Steps of the linear cooldown to zero.
        total_steps: int. Length of the run. Needed where the shape or the
            cooldown ends with it.

    Raises:
        ValueError: If `peak` is negative, or warm-up and cooldown do not fit
            in the run.
    """

    def __init__(
        self, peak, warmup_steps=0, cooldown_steps=0, total_steps=None
    ):
        super().__init__()
        if not 0 <= peak < float("inf"):
            raise ValueError(
                f"`peak` must be a rate, 0 or more. Received: peak={peak}"
            )
        rate_functions.check_run(warmup_steps, cooldown_steps, total_steps)
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.cooldown_steps = cooldown_steps
        self.total_steps = total_steps

    def get_config(self):
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "cooldown_steps": self.cooldown_steps,
            "total_steps": self.total_steps,
        }


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ConstantSchedule(WarmupSchedule):
    """`constant_rate` as a schedule.

    Example:

    ```python
    keras.optimizers.SGD(ConstantSchedule(1e-5, warmup_steps=100))
    ```

    Args:
        peak: float. The rate after the warm-up.
        warmup_steps: int. Steps of the linear warm-up from zero.
        cooldown_steps: int. Steps of the linear cooldown to zero.
        total_steps: int. Length of the run; needed for a cooldown.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run.
    """

    def __call__(self, step):
        return rate_functions.constant_rate(step, **self.get_config())


@keras.saving.register_keras_serializable(package="keras_paligemma")
class CosineSchedule(WarmupSchedule):
    """`cosine_rate` as a schedule: the published shape of transfers.

    Example:

    ```python
    CosineSchedule(1e-5, total_steps=1000, warmup_steps=50)
    ```

    Args:
        peak: float. The rate at the end of the warm-up.
        total_steps: int. Length of the run, at whose end the rate is zero.
        warmup_steps: int. Steps of the linear warm-up from zero.
        cooldown_steps: int. Steps of the linear cooldown to zero.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run.
    """

    def __init__(self, peak, total_steps, warmup_steps=0, cooldown_steps=0):
        super().__init__(peak, warmup_steps, cooldown_steps, total_steps)

    def __call__(self, step):
        return rate_functions.cosine_rate(step, **self.get_config())


@keras.saving.register_keras_serializable(package="keras_paligemma")
class LinearSchedule(WarmupSchedule):
    """`linear_rate` as a schedule.

    Example:

    ```python
    LinearSchedule(1e-5, total_steps=1000, warmup_steps=50, end=1e-6)
    ```

    Args:
        peak: float. The rate at the end of the warm-up.
        total_steps: int. Length of the run.
        warmup_steps: int. Steps of the linear warm-up from zero.
        cooldown_steps: int. Steps of the linear cooldown to zero.
        end: float. The rate at the end of the run.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run, or `end`
            is not from 0 to `peak`.
    """

    def __init__(
        self, peak, total_steps, warmup_steps=0, cooldown_steps=0, end=0.0
    ):
        super().__init__(peak, warmup_steps, cooldown_steps, total_steps)
        if not 0 <= end <= peak:
            raise ValueError(
                "`end` must be a rate from 0 to `peak`. "
                f"Received: end={end}, peak={peak}"
            )
        self.end = end

    def __call__(self, step):
        return rate_functions.linear_rate(step, **self.get_config())

    def get_config(self):
        return {**super().get_config(), "end": self.end}


@keras.saving.register_keras_serializable(package="keras_paligemma")
class RsqrtSchedule(WarmupSchedule):
    """`rsqrt_rate` as a schedule: the infinite one of pre-training.

    Example:

    ```python
    first = RsqrtSchedule(2e-5, warmup_steps=1000)
    shift = next_rsqrt_shift(5000, 256, 64, warmup_steps=1000)
    # Goes on where `first` stood after 5,000 steps of 256 examples.
    second = RsqrtSchedule(2e-5, timescale=40_000, shift=shift)
    ```

    Args:
        peak: float. The rate at the end of the warm-up, if `shift` is 0.
        warmup_steps: int. Steps of the linear warm-up from zero.
        cooldown_steps: int. Steps of the linear cooldown to zero.
        total_steps: int. Length of the run; needed for a cooldown.
        timescale: float. Steps after which the rate has fallen to
            `peak / sqrt(2)`.
        shift: float. Steps of the curve gone before this run.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run, or
            `timescale` is not positive, or `shift` is negative.
    """

    def __init__(
        self,
        peak,
        warmup_steps=0,
        cooldown_steps=0,
        total_steps=None,
        timescale=10_000,
        shift=0,
    ):
        super().__init__(peak, warmup_steps, cooldown_steps, total_steps)
        rate_functions.check_curve(timescale, shift)
        self.timescale = timescale
        self.shift = shift

    def __call__(self, step):
        return rate_functions.rsqrt_rate(step, **self.get_config())

    def get_config(self):
        return {
            **super().get_config(),
            "timescale": self.timescale,
            "shift": self.shift,
        }


@keras.saving.register_keras_serializable(package="keras_paligemma")
class WarmedUpSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Any rate, with a linear warm-up from zero in front.

    Example:

    ```python
    schedule = WarmedUpSchedule(1e-5, warmup_steps=1000)
    float(schedule(250))  # 2.5e-6
    ```

    Args:
        schedule: float or `LearningRateSchedule`. What is multiplied by
            `min(1, step / warmup_steps)`.
        warmup_steps: int. 1 or more.
    """

    def __init__(self, schedule, warmup_steps):
        super().__init__()
        if warmup_steps < 1:
            raise ValueError(
                "`warmup_steps` must be 1 or more. "
                f"Received: warmup_steps={warmup_steps}"
            )
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        # Scales a decay, which is meant for the whole rate.
        self.peak = getattr(schedule, "peak", schedule)

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        rate = self.schedule(step) if callable(self.schedule) else self.schedule
        return rate * keras.ops.minimum(1.0, step / self.warmup_steps)

    def get_config(self):
        schedule = self.schedule
        if callable(schedule):
            schedule = keras.saving.serialize_keras_object(schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config):
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        return cls(schedule, config["warmup_steps"])
