"""Checks of arguments that several callbacks take."""

import numbers


def check_every(every, name="every"):
    """Returns a number of steps; `ValueError` unless it is 1 or more."""
    whole = isinstance(every, numbers.Integral) and not isinstance(every, bool)
    if not whole or every < 1:
        raise ValueError(
            f"`{name}` must be a whole number of steps, 1 or more. "
            f"Received: {name}={every}"
        )
    return int(every)
