"""Durations in steps, examples, epochs or percent, turned into steps."""

import math
import numbers
import re

PATTERN = re.compile(
    r"\s*(?P<amount>[0-9]+(?:_[0-9]+)*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*"
    r"(?P<unit>steps?|examples?|epochs?|percent|%)\s*",
    re.IGNORECASE,
)
UNITS = {
    "step": "steps",
    "example": "examples",
    "epoch": "epochs",
    "percent": "percent",
    "%": "percent",
}
HOW = (
    'an int of steps, or a string such as "1000 steps", "5e7 examples", '
    '"10 epochs" or "5%"'
)


def parse_duration(duration, name="duration"):
    """Splits a duration into its amount and its unit.

    Example:

    ```python
    parse_duration("5e7 examples")  # (50000000.0, "examples")
    parse_duration(1000)  # (1000.0, "steps")
    ```

    Args:
        duration: int, float or string. A number is of steps.
        name: string. What the errors call it.

    Returns:
        A tuple `(amount, unit)`: a float of 0 or more, and one of `"steps"`,
        `"examples"`, `"epochs"`, `"percent"`.

    Raises:
        ValueError: If it is not a duration, is negative or is not finite, or
            is more than 100 percent.
    """
    if isinstance(duration, numbers.Real) and not isinstance(duration, bool):
        amount, unit = float(duration), "steps"
    elif isinstance(duration, str) and (match := PATTERN.fullmatch(duration)):
        amount = float(match["amount"])
        unit = UNITS[match["unit"].lower().rstrip("s")]
    else:
        raise ValueError(f"`{name}` must be {HOW}. Received: {name}={duration}")
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(
            f"`{name}` must be finite, and 0 or more. "
            f"Received: {name}={duration}"
        )
    if unit == "percent" and amount > 100:
        raise ValueError(
            f"`{name}` cannot be more than 100 % of the run. "
            f"Received: {name}={duration}"
        )
    return amount, unit


def exact_steps(
    duration,
    batch_size=None,
    examples_per_epoch=None,
    total_steps=None,
    name="duration",
):
    """A duration in steps, not rounded.

    For what need not be whole, like a schedule's timescale and shift: a
    rounded one would bend a curve that several stages share.

    Args:
        duration: int, float or string, as in `duration_to_steps`.
        batch_size: int. Examples a step, for `"examples"` and `"epochs"`.
        examples_per_epoch: int. For `"epochs"`.
        total_steps: int. Length of the run, for `"%"`.
        name: string. What the errors call it.

    Returns:
        A float.

    Raises:
        ValueError: If it is not a duration, or what it is relative to was
            not given.
    """
    amount, unit = parse_duration(duration, name)

    def needed(value, argument, least=1):
        if value is None or value < least:
            raise ValueError(
                f"`{name}` is given in {unit}: turning it into steps needs "
                f"`{argument}`, {least} or more. Received: "
                f"{name}={duration}, {argument}={value}"
            )
        return value

    if unit == "steps":
        return amount
    if unit == "percent":
        return amount * needed(total_steps, "total_steps", least=0) / 100
    if unit == "epochs":
        amount *= needed(examples_per_epoch, "examples_per_epoch")
    return amount / needed(batch_size, "batch_size")


def duration_to_steps(
    duration,
    batch_size=None,
    examples_per_epoch=None,
    total_steps=None,
    name="duration",
):
    """A duration as a whole number of steps.

    It is rounded to the nearest step, a half to the even one; what is more
    than nothing is at least one step.

    Example:

    ```python
    duration_to_steps(1000)  # 1000
    duration_to_steps("5e7 examples", batch_size=256)  # 195312
    duration_to_steps(
        "10 epochs", batch_size=256, examples_per_epoch=443757
    )  # 17334
    duration_to_steps("5%", total_steps=17334)  # 867
    ```

    Args:
        duration: int or string. An int is steps; a string is a number and
            one of `steps`, `examples`, `epochs`, `%`.
        batch_size: int. Examples a step, for `"examples"` and `"epochs"`.
        examples_per_epoch: int. For `"epochs"`.
        total_steps: int. Length of the run, for `"%"`.
        name: string. What the errors call it.

    Returns:
        An int.

    Raises:
        ValueError: If it is not a duration, is a fraction of steps, or what
            it is relative to was not given.
    """
    steps = exact_steps(
        duration, batch_size, examples_per_epoch, total_steps, name
    )
    if parse_duration(duration, name)[1] == "steps" and steps != int(steps):
        raise ValueError(
            f"`{name}` must be a whole number of steps. "
            f"Received: {name}={duration}"
        )
    return max(1, round(steps)) if steps else 0
