"""Ordered tables of (path pattern, value): which row a variable falls under.

A pattern is a regular expression that must match the whole path of a
variable, as `re.fullmatch` does: `image_encoder/.*`, `.*/kernel`. The first
pattern that matches wins. Paths of a `PaliGemmaBackbone` begin with the
component (`image_encoder/block_0/attention/query_dense/kernel`,
`projector/kernel`, `embedding/embeddings`, `decoder/final_norm/scale`), also
inside `PaliGemmaCausalLM`. Other models may put their own name in front, as
`keras.Sequential` does (`classifier/hidden/kernel`): where `model_name` is
given and a path begins with it, a pattern may match either the whole path or
what comes below that name.
"""

import math
import re

import keras

# How many paths an error message shows.
SHOWN_PATHS = 8


def first_matches(patterns, paths, model_name=None):
    """Finds the row of each path; the first pattern that matches wins.

    ```python
    first_matches(
        ["image_encoder/.*", ".*/kernel"],
        ["image_encoder/final_norm/beta", "projector/kernel", "a/bias"],
    )  # [0, 1, None]
    ```

    Args:
        patterns: list of strings. Regular expressions for whole paths.
        paths: list of strings.
        model_name: string or `None`. May be left out of the patterns.

    Returns:
        List of int or `None`: the index of a pattern for each path.

    Raises:
        ValueError: If a pattern is not a regular expression.
    """
    matchers = [_compiled(pattern) for pattern in patterns]
    return [
        next(
            (
                row
                for row, matcher in enumerate(matchers)
                if _matches(matcher, path, model_name)
            ),
            None,
        )
        for path in paths
    ]


def check_all_matched(patterns, paths, rows):
    """Raises a `ValueError` that lists the paths without a row."""
    rest = [path for path, row in zip(paths, rows, strict=True) if row is None]
    if rest:
        raise ValueError(
            "Every variable must be matched by a pattern of the table; end "
            'it with `(".*", schedule)` or `(".*", None)` to cover the rest. '
            f"Received: patterns={list(patterns)}, which leave out "
            f"{len(rest)} of {len(paths)} variables:\n" + "\n".join(rest)
        )


def check_all_used(patterns, paths, rows, model_name=None, exempt=()):
    """Raises a `ValueError` for a pattern under which no variable falls.

    Args:
        patterns, paths, model_name: As for `first_matches`.
        rows: list. What `first_matches` returned.
        exempt: Collection of indices of patterns that may be without one.
    """
    for row in sorted(set(range(len(patterns))) - set(rows) - set(exempt)):
        pattern = patterns[row]
        first = next(
            (
                (path, other)
                for path, other in zip(paths, rows, strict=True)
                if _matches(_compiled(pattern), path, model_name)
            ),
            None,
        )
        if first is not None:
            raise ValueError(
                f"The pattern {pattern!r} has no effect: the variables that "
                "it matches fall under earlier patterns, as "
                f"{first[0]!r} under {patterns[first[1]]!r}. Move it in "
                f"front or leave it out. Received: patterns={list(patterns)}"
            )
        raise ValueError(
            f"The pattern {pattern!r} matches the path of no variable. A "
            "pattern must match the whole path. Leave the row out, or give "
            "it `None`, where the component is frozen already, as LoRA does. "
            f"Received: {len(paths)} variables, among them: "
            + ", ".join(_spread(paths))
        )


def check_rates(table):
    """Returns `table` as a tuple of `(pattern, schedule)` rows.

    Raises:
        ValueError: If the table is empty, a row is not a pair, or a schedule
            is not a rate, a schedule of Keras, or `None`.
    """
    rows = _pairs("table", table, "schedule")
    for pattern, schedule in rows:
        if schedule is None or isinstance(
            schedule, keras.optimizers.schedules.LearningRateSchedule
        ):
            continue
        if not _is_number(schedule) or schedule < 0:
            raise ValueError(
                "A schedule must be a float of at least 0, a "
                "`keras.optimizers.schedules.LearningRateSchedule`, or `None` "
                f"to freeze. Received: table row ({pattern!r}, {schedule!r})"
            )
    if all(schedule is None for _, schedule in rows):
        raise ValueError(
            "At least one row of the table must have a schedule, else "
            f"nothing is trained. Received: table={list(rows)}"
        )
    return rows


def check_decays(weight_decay):
    """Returns `weight_decay` as a tuple of `(pattern, decay)` rows."""
    rows = _pairs("weight_decay", weight_decay, "decay")
    for pattern, decay in rows:
        if not _is_number(decay) or decay < 0:
            raise ValueError(
                "A weight decay must be a float of at least 0. Received: "
                f"weight_decay row ({pattern!r}, {decay!r})"
            )
    return rows


def peak_rate(schedule):
    """The rate that a schedule has at its highest, by its own account.

    Args:
        schedule: float or `LearningRateSchedule`. One with an attribute
            `peak`, or as in Keras `warmup_target` or
            `initial_learning_rate`.

    Raises:
        ValueError: If the schedule does not tell, or it is not above 0.
    """
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        names = ("peak", "warmup_target", "initial_learning_rate")
        values = [getattr(schedule, name, None) for name in names]
        peak = next((value for value in values if value is not None), None)
    else:
        peak = schedule
    if not _is_number(peak) or peak <= 0:
        raise ValueError(
            "Weight decay scaled by the shape of a schedule needs its peak: "
            "a rate above 0, or a schedule with an attribute `peak`, "
            "`warmup_target` or `initial_learning_rate` above 0. Otherwise "
            "give `decay_times_rate=True`. Received: "
            f"schedule={schedule!r} with a peak of {peak}"
        )
    return float(peak)


def _pairs(name, table, value_name):
    try:
        rows = tuple((pattern, value) for pattern, value in table)
    except (TypeError, ValueError):
        rows = ()
    if not rows or not all(isinstance(pattern, str) for pattern, _ in rows):
        raise ValueError(
            f"`{name}` must be a non-empty list of pairs of a path pattern "
            f"and its {value_name}. Received: {name}={table!r}"
        )
    return rows


def _is_number(value):
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _compiled(pattern):
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(
            "A path pattern must be a regular expression. Received: "
            f"pattern={pattern!r}, which is none: {error}"
        ) from error


def _matches(matcher, path, model_name):
    if matcher.fullmatch(path):
        return True
    prefix = f"{model_name}/"
    return bool(
        model_name
        and path.startswith(prefix)
        and matcher.fullmatch(path[len(prefix) :])
    )


def _spread(paths):
    """A few paths from all over the list, in its order."""
    step = max(1, math.ceil(len(paths) / SHOWN_PATHS))
    return paths[::step]
