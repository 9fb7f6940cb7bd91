"""A schedule's settings before the length of the run is known."""

import dataclasses

from keras_paligemma.training.durations import duration_to_steps
from keras_paligemma.training.durations import exact_steps
from keras_paligemma.training.durations import parse_duration
from keras_paligemma.training.rate_functions import next_rsqrt_shift
from keras_paligemma.training.schedules import ConstantSchedule
from keras_paligemma.training.schedules import CosineSchedule
from keras_paligemma.training.schedules import LinearSchedule
from keras_paligemma.training.schedules import RsqrtSchedule

SCHEDULES = {
    "constant": ConstantSchedule,
    "cosine": CosineSchedule,
    "linear": LinearSchedule,
    "rsqrt": RsqrtSchedule,
}


def in_examples(amount):
    """A number of examples as a duration."""
    whole = amount == int(amount)
    return f"{int(amount) if whole else amount} examples"


@dataclasses.dataclass(frozen=True)
class RateSettings:
    """A learning rate: its shape, its peak, its durations.

    Durations are ints of steps, or strings such as `"5e7 examples"`,
    `"2 epochs"`, `"5%"` (of the run).

    Example:

    ```python
    settings = RateSettings("cosine", peak=1e-5, warmup="5%")
    schedule = settings.schedule(total_steps=1000)
    float(schedule(50))  # 1e-5
    ```

    Args:
        shape: string. `"constant"`, `"cosine"`, `"linear"` or `"rsqrt"`.
        peak: float. The highest rate.
        warmup: duration. Linear, from zero.
        cooldown: duration. Linear, to zero at the end of the run.
        end: float. The last rate; `"linear"` only.
        timescale: duration, not rounded. How fast the curve falls;
            `"rsqrt"` only.
        shift: duration, not rounded. How much of the curve is gone already;
            `"rsqrt"` only.

    Raises:
        ValueError: If a value does not fit.
    """

    shape: str
    peak: float
    warmup: int | str = 0
    cooldown: int | str = 0
    end: float = 0.0
    timescale: int | float | str = 10_000
    shift: int | float | str = 0

    def __post_init__(self):
        if self.shape not in SCHEDULES:
            raise ValueError(
                f"`shape` must be one of {', '.join(SCHEDULES)}. "
                f"Received: shape={self.shape}"
            )
        if not 0 < self.peak < float("inf"):
            raise ValueError(
                "`peak` must be a positive rate; to freeze variables, give "
                f"`None` in place of their settings. Received: "
                f"peak={self.peak}"
            )
        for name in ("warmup", "cooldown", "timescale", "shift"):
            parse_duration(getattr(self, name), name)
        if not 0 <= self.end <= self.peak:
            raise ValueError(
                "`end` must be a rate from 0 to `peak`. "
                f"Received: end={self.end}, peak={self.peak}"
            )
        defaults = {
            field.name: field.default for field in dataclasses.fields(self)
        }
        for name, shape in (
            ("end", "linear"),
            ("timescale", "rsqrt"),
            ("shift", "rsqrt"),
        ):
            value = getattr(self, name)
            if self.shape != shape and value != defaults[name]:
                raise ValueError(
                    f"`{name}` belongs to the shape {shape} only. "
                    f"Received: {name}={value}, shape={self.shape}"
                )

    def schedule(self, total_steps, batch_size=None, examples_per_epoch=None):
        """The Keras schedule of a run of `total_steps`.

        Args:
            total_steps: int. Length of the run.
            batch_size: int. For durations in examples and epochs.
            examples_per_epoch: int. For durations in epochs.

        Returns:
            A `keras.optimizers.schedules.LearningRateSchedule`.

        Raises:
            ValueError: If warm-up and cooldown do not fit in the run, or a
                duration lacks what it is relative to.
        """
        run = (batch_size, examples_per_epoch, total_steps)
        arguments = {
            "peak": self.peak,
            "warmup_steps": duration_to_steps(self.warmup, *run, "warmup"),
            "cooldown_steps": duration_to_steps(
                self.cooldown, *run, "cooldown"
            ),
            "total_steps": total_steps,
        }
        if self.shape == "linear":
            arguments["end"] = self.end
        if self.shape == "rsqrt":
            arguments["timescale"] = exact_steps(
                self.timescale, *run, "timescale"
            )
            arguments["shift"] = exact_steps(self.shift, *run, "shift")
        return SCHEDULES[self.shape](**arguments)

    def scaled(self, factor):
        """The same with the rates multiplied by `factor`."""
        return dataclasses.replace(
            self, peak=self.peak * factor, end=self.end * factor
        )

    def continued(self, total_steps, batch_size, examples_per_epoch=None):
        """The settings of a next stage, which goes on where this one stands.

        The curve is kept in examples, so that it holds for any batch size of
        the next stage. There is no further warm-up.

        Args:
            total_steps: int. Length of this stage.
            batch_size: int. Examples a step of this stage.
            examples_per_epoch: int. For durations in epochs.

        Returns:
            A `RateSettings`.

        Raises:
            ValueError: If the rate has come to its end, by its shape or by a
                cooldown, or is still within its warm-up.
        """
        if self.shape not in ("constant", "rsqrt"):
            raise ValueError(
                "Only the shapes constant and rsqrt go on after a stage; "
                "give the next stage `rates` of its own. "
                f"Received: shape={self.shape}"
            )
        now = self.schedule(total_steps, batch_size, examples_per_epoch)
        if now.cooldown_steps:
            raise ValueError(
                "After a cooldown the rate is zero and cannot go on: continue "
                "from the stage without it, and its last checkpoint before "
                f"it. Received: cooldown={self.cooldown}"
            )
        # Also says so, for both shapes, if the stage ended in its warm-up.
        shift = next_rsqrt_shift(
            total_steps,
            batch_size,
            warmup_steps=now.warmup_steps,
            shift=getattr(now, "shift", 0),
        )
        if self.shape == "constant":
            return dataclasses.replace(self, warmup=0)
        return dataclasses.replace(
            self,
            warmup=0,
            timescale=in_examples(now.timescale * batch_size),
            shift=in_examples(shift),
        )
