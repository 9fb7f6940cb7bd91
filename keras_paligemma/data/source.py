"""One data set of a mixture."""

import dataclasses
import math
import numbers
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set, its weight in a mixture, and the task it counts for.

    Args:
        name: str.
        records: sequence of `Record` (`len` and `[i]`).
        weight: float. Positive; only the ratios of weights count.
        task: str or `None`. What reports by task call it; the name by
            default.

    Raises:
        ValueError: If there are no records, or the weight is not positive.
    """

    name: str
    records: Sequence = dataclasses.field(repr=False)
    weight: float = 1.0
    task: str | None = None

    def __post_init__(self):
        check_weight(self.name, self.weight)
        lacking = [
            method
            for method in ("__len__", "__getitem__")
            if not hasattr(self.records, method)
        ]
        if lacking:
            raise ValueError(
                f"The records of the source {self.name!r} must be a sequence, "
                "with `len` and `[i]`. Received: type(records)="
                f"{type(self.records).__name__}, without {lacking}."
            )
        if len(self.records) == 0:
            raise ValueError(
                f"The source {self.name!r} has no records. Leave it out of "
                "the mixture, or mend its reader."
            )

    @property
    def task_name(self):
        """str. The task, or the name of the source."""
        return self.task or self.name


def check_weight(name, weight):
    """Raises `ValueError` unless a weight is a positive number."""
    good = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
    if not good or not math.isfinite(weight) or weight <= 0:
        raise ValueError(
            f"The weight of the source {name!r} must be a positive number. "
            f"Received: weight={weight!r}. Leave a source out of the mixture "
            "to give it none."
        )


def as_sources(sources):
    """Turns what a mixture is given into a dict of name to `Source`.

    Args:
        sources: dict of name to `(records, weight)`, or a sequence of
            `Source`.

    Returns:
        dict of name to `Source`, in the order given.

    Raises:
        ValueError: If there is none, or two have one name.
    """
    if isinstance(sources, dict):
        pairs = sources.items()
        sources = [Source(name, *_as_pair(name, v)) for name, v in pairs]
    sources = list(sources)
    names = [source.name for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not sources or repeated:
        raise ValueError(
            "A mixture needs one source at least, each with a name of its "
            f"own. Received: {names}, with repeated names {repeated}."
        )
    return dict(zip(names, sources, strict=True))


def _as_pair(name, value):
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(
            f"The source {name!r} must be a pair (records, weight). "
            f"Received: {type(value).__name__}"
        )
    return value
