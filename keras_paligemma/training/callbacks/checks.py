"""Checks of arguments that several callbacks take."""

import numbers


def check_every(every, name="every"):
    """Returns a count, mostly of steps; `ValueError` if it is not 1 or more."""
    whole = isinstance(every, numbers.Integral) and not isinstance(every, bool)
    if not whole or every < 1:
        of_steps = " of steps" if name in ("every", "steps") else ""
        raise ValueError(
            f"`{name}` must be a whole number{of_steps}, 1 or more. "
            f"Received: {name}={every}"
        )
    return int(every)
