"""Learning rates as pure functions of the step: warm-up, shape, cooldown.

Steps may be ints, floats, NumPy arrays or tensors; rates are float32. Whole
steps are subtracted as integers and only then made floats, and no formula
subtracts nearly equal floats, so that the rate of step 4,000,000 is as exact
as that of step 4.
"""

import math

from keras import ops


def check_run(warmup_steps, cooldown_steps, total_steps):
    """Raises `ValueError` if the parts of a schedule do not fit its run."""
    for name, value in (
        ("warmup_steps", warmup_steps),
        ("cooldown_steps", cooldown_steps),
        ("total_steps", total_steps),
    ):
        if value is not None and (value < 0 or value != int(value)):
            raise ValueError(
                f"`{name}` must be a whole number of steps, 0 or more. "
                f"Received: {name}={value}"
            )
    if total_steps is None:
        if cooldown_steps:
            raise ValueError(
                "A cooldown ends with the run: it needs `total_steps`. "
                f"Received: cooldown_steps={cooldown_steps}, total_steps=None"
            )
    elif warmup_steps + cooldown_steps > total_steps:
        raise ValueError(
            "Warm-up and cooldown must fit in the run: make them shorter or "
            f"the run longer. Received: warmup_steps={warmup_steps}, "
            f"cooldown_steps={cooldown_steps}, total_steps={total_steps}"
        )


def _as_step(step):
    step = ops.convert_to_tensor(step)
    name = str(step.dtype)
    return ops.cast(step, "float32" if "float" in name else "int32")


def _difference(end, begin):
    """`max(end - begin, 0)` as float32, exact where both are whole."""
    return ops.cast(ops.maximum(ops.subtract(end, begin), 0), "float32")


def _with_ends(rate, step, warmup_steps, cooldown_steps, total_steps):
    """Multiplies a rate by the linear warm-up and the linear cooldown."""
    if warmup_steps:
        ramp = ops.divide(ops.cast(step, "float32"), float(warmup_steps))
        rate = ops.multiply(rate, ops.clip(ramp, 0.0, 1.0))
    if cooldown_steps:
        ramp = _difference(int(total_steps), step) / float(cooldown_steps)
        rate = ops.multiply(rate, ops.minimum(ramp, 1.0))
    return rate


def _remaining(step, warmup_steps, total_steps):
    """From 1 at the end of the warm-up to 0 at the end of the run."""
    span = float(max(total_steps - warmup_steps, 1))
    return ops.minimum(_difference(int(total_steps), step) / span, 1.0)


def constant_rate(
    step, peak, warmup_steps=0, cooldown_steps=0, total_steps=None
):
    """`peak`, between a linear warm-up and a linear cooldown.

    Example:

    ```python
    constant_rate([0, 2, 4, 9], 1.0, warmup_steps=4)  # [0., 0.5, 1., 1.]
    ```

    Args:
        step: int, float, array or tensor. Updates made before this one.
        peak: float. The rate after the warm-up.
        warmup_steps: int. The rate is multiplied by `step / warmup_steps`
            until then, so that update 0 has rate 0.
        cooldown_steps: int. The rate is multiplied by
            `(total_steps - step) / cooldown_steps` at the end.
        total_steps: int. Length of the run; needed for a cooldown.

    Returns:
        A float32 tensor of the shape of `step`.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run.
    """
    check_run(warmup_steps, cooldown_steps, total_steps)
    step = _as_step(step)
    rate = ops.full_like(step, float(peak), dtype="float32")
    return _with_ends(rate, step, warmup_steps, cooldown_steps, total_steps)


def cosine_rate(step, peak, total_steps, warmup_steps=0, cooldown_steps=0):
    """Half a cosine from `peak`, after the warm-up, to zero at the end.

    `peak * (1 + cos(pi * progress)) / 2` with
    `progress = (step - warmup_steps) / (total_steps - warmup_steps)`.

    Example:

    ```python
    cosine_rate([0, 2, 4, 8, 12], 1.0, 12, warmup_steps=4)
    # [0., 0.5, 1., 0.5, 0.]
    ```

    Args:
        step: int, float, array or tensor. Updates made before this one.
        peak: float. The rate at the end of the warm-up.
        total_steps: int. Length of the run.
        warmup_steps: int. As in `constant_rate`.
        cooldown_steps: int. As in `constant_rate`.

    Returns:
        A float32 tensor of the shape of `step`.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run.
    """
    check_run(warmup_steps, cooldown_steps, total_steps)
    step = _as_step(step)
    remaining = _remaining(step, warmup_steps, total_steps)
    # (1 + cos(pi * (1 - r))) / 2 is sin(pi * r / 2) squared, which stays
    # exact near the end, where the former subtracts 1 from 1.
    sine = ops.sin(ops.multiply(remaining, math.pi / 2))
    rate = ops.multiply(ops.square(sine), float(peak))
    return _with_ends(rate, step, warmup_steps, cooldown_steps, total_steps)


def linear_rate(
    step, peak, total_steps, warmup_steps=0, cooldown_steps=0, end=0.0
):
    """A line from `peak`, after the warm-up, to `end` at the end.

    Example:

    ```python
    linear_rate([0, 2, 4, 8, 12], 1.0, 12, warmup_steps=4, end=0.2)
    # [0., 0.5, 1., 0.6, 0.2]
    ```

    Args:
        step: int, float, array or tensor. Updates made before this one.
        peak: float. The rate at the end of the warm-up.
        total_steps: int. Length of the run.
        warmup_steps: int. As in `constant_rate`.
        cooldown_steps: int. As in `constant_rate`.
        end: float. The rate at the end of the run.

    Returns:
        A float32 tensor of the shape of `step`.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run.
    """
    check_run(warmup_steps, cooldown_steps, total_steps)
    step = _as_step(step)
    remaining = _remaining(step, warmup_steps, total_steps)
    rate = ops.multiply(remaining, float(peak) - float(end)) + float(end)
    return _with_ends(rate, step, warmup_steps, cooldown_steps, total_steps)


def rsqrt_rate(
    step,
    peak,
    warmup_steps=0,
    cooldown_steps=0,
    total_steps=None,
    timescale=10_000,
    shift=0,
):
    """The infinite schedule: the reciprocal square root of the step.

    After the warm-up
    `peak / sqrt(1 + (step + shift - warmup_steps) / timescale)`, during it
    the linear ramp times `peak / sqrt(1 + shift / timescale)`.

    Example:

    ```python
    rsqrt_rate([0, 2, 4, 7], 1.0, warmup_steps=4, timescale=1)
    # [0., 0.5, 1., 0.5]
    ```

    Args:
        step: int, float, array or tensor. Updates made before this one.
        peak: float. The rate at the end of the warm-up, if `shift` is 0.
        warmup_steps: int. As in `constant_rate`.
        cooldown_steps: int. As in `constant_rate`.
        total_steps: int. Length of the run; needed for a cooldown.
        timescale: float. Steps after which the rate has fallen to
            `peak / sqrt(2)`.
        shift: float. Steps of the curve that were already gone before this
            run: see `next_rsqrt_shift`.

    Returns:
        A float32 tensor of the shape of `step`.

    Raises:
        ValueError: If warm-up and cooldown do not fit in the run, or
            `timescale` is not positive, or `shift` is negative.
    """
    check_run(warmup_steps, cooldown_steps, total_steps)
    check_curve(timescale, shift)
    step = _as_step(step)
    # Held at 0 during the warm-up, which gives the ramp its factor.
    elapsed = _difference(step, int(warmup_steps)) + float(shift)
    rate = float(peak) / ops.sqrt(1.0 + elapsed / float(timescale))
    return _with_ends(rate, step, warmup_steps, cooldown_steps, total_steps)


def check_curve(timescale, shift):
    """Raises `ValueError` if they describe no reciprocal square root."""
    if not timescale > 0 or not math.isfinite(timescale):
        raise ValueError(
            "`timescale` must be a positive number of steps. "
            f"Received: timescale={timescale}"
        )
    if not shift >= 0 or not math.isfinite(shift):
        raise ValueError(
            "`shift` must be a number of steps, 0 or more. "
            f"Received: shift={shift}"
        )


def next_rsqrt_shift(
    steps,
    batch_size=1,
    next_batch_size=1,
    warmup_steps=0,
    shift=0,
    next_warmup_steps=0,
):
    """The `shift` with which a next stage goes on along `rsqrt_rate`'s curve.

    The curve is one of examples, so with another batch size the next stage's
    `timescale` must be `timescale * batch_size / next_batch_size`.

    Example:

    ```python
    shift = next_rsqrt_shift(5000, 256, 64, warmup_steps=1000)  # 16000.0
    rsqrt_rate(5000, 1.0, warmup_steps=1000, timescale=10_000)  # 0.8452
    rsqrt_rate(0, 1.0, timescale=40_000, shift=shift)  # 0.8452
    ```

    Args:
        steps: int. Steps that the stage made.
        batch_size: int. Examples a step of the stage.
        next_batch_size: int. Examples a step of the next stage.
        warmup_steps: int. Warm-up of the stage.
        shift: float. Shift of the stage.
        next_warmup_steps: int. Warm-up of the next stage, after which it is
            on the curve again.

    Returns:
        A float, in steps of the next stage.

    Raises:
        ValueError: If the stage ended within its warm-up, or a batch size is
            not positive.
    """
    if batch_size <= 0 or next_batch_size <= 0:
        raise ValueError(
            "Batch sizes must be positive. Received: "
            f"batch_size={batch_size}, next_batch_size={next_batch_size}"
        )
    if steps < warmup_steps:
        raise ValueError(
            "The stage ended within its warm-up, before the curve: make the "
            f"warm-up shorter. Received: steps={steps}, "
            f"warmup_steps={warmup_steps}"
        )
    gone = (steps - warmup_steps + shift) * batch_size / next_batch_size
    return gone + next_warmup_steps
