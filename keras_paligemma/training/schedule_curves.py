"""The learning rates of stages as numbers: what `plots` draws."""

import dataclasses

import numpy as np
from keras import ops

from keras_paligemma.checkpoints.canonical import COMPONENTS
from keras_paligemma.training.component_table import first_matches

# As many blocks as the largest published decoder has: a pattern may name one.
NUM_BLOCKS = 46


@dataclasses.dataclass(frozen=True, eq=False)
class ScheduleCurve:
    """The rates of one component, or of a part of it, in one stage.

    Attributes:
        component: string. One of the four, or `"component (pattern)"` where
            the variables of a component have several rates.
        stage: string. The stage's name.
        steps: int array `[points]`. Updates made before, in this stage.
        examples: int array `[points]`. Examples seen before, in all stages.
        rates: float array `[points]`, or `None` where it is frozen.
    """

    component: str
    stage: str
    steps: np.ndarray
    examples: np.ndarray
    rates: np.ndarray | None


def schedule_curves(stages, examples_per_epoch=None, points=500):
    """The rate of every component over all stages, one after the other.

    Example:

    ```python
    curves = schedule_curves([STAGE_1, STAGE_2_448, STAGE_2_896])
    curve = curves["decoder"][1]
    curve.stage, curve.steps[0], curve.examples[0], curve.rates[0]
    # ("stage 2a", 0, 999999488, 2.86e-06)
    ```

    Args:
        stages: list of `Stage`.
        examples_per_epoch: int. Needed if a length is in epochs.
        points: int or `None`. Steps of a stage at which rates are taken,
            about; its first and last step are among them, and the ends of
            warm-ups. `None` takes every step.

    Returns:
        A dict of component to a list of `ScheduleCurve`, one a stage.

    Raises:
        ValueError: If a schedule does not fit in its stage, or variables of
            a component are under no row of its table.
    """
    if not stages or (points is not None and points < 2):
        raise ValueError(
            "There must be a stage at least, and two points of each. "
            f"Received: stages={stages}, points={points}"
        )
    tables = [
        stage.schedules(examples_per_epoch=examples_per_epoch)
        for stage in stages
    ]
    curves = {}
    for name, rows in _parts(stages, tables).items():
        curves[name] = []
        seen = 0
        for stage, table, row in zip(stages, tables, rows, strict=True):
            total = stage.total_steps(examples_per_epoch)
            steps = _chosen_steps(total, table, points)
            schedule = table[row][1]
            rates = None
            if schedule is not None:
                rates = ops.convert_to_numpy(schedule(steps.astype("int32")))
            curves[name].append(
                ScheduleCurve(
                    component=name,
                    stage=stage.name,
                    steps=steps,
                    examples=seen + steps * stage.batch_size,
                    rates=rates,
                )
            )
            seen += total * stage.batch_size
    return curves


def _parts(stages, tables):
    """A dict of curve name to the row of each stage's table it follows."""
    parts = {}
    for component, shapes in COMPONENTS.items():
        paths = [
            path.format(i=i)
            for path, _ in shapes
            for i in range(NUM_BLOCKS if "{i}" in path else 1)
        ]
        by_stage = []
        for stage, table in zip(stages, tables, strict=True):
            patterns = [pattern for pattern, _ in table]
            rows = first_matches(patterns, paths)
            if None in rows:
                raise ValueError(
                    "Every variable must be under a pattern of the stage's "
                    'rates; end them with `(".*", settings)`. Received: '
                    f"stage {stage.name!r} with patterns={patterns}, which "
                    f"leave out {paths[rows.index(None)]}"
                )
            by_stage.append(rows)
        # Rows that mean the same schedule are one curve.
        kinds = list(dict.fromkeys(zip(*by_stage, strict=True)))
        for kind in kinds:
            name = component
            if len(kinds) > 1:
                patterns = dict.fromkeys(
                    table[row][0]
                    for table, row in zip(tables, kind, strict=True)
                )
                name = f"{component} ({', then '.join(patterns)})"
            parts[name] = kind
    return parts


def _chosen_steps(total, table, points):
    """Steps `[points]` of a stage, ascending, from the first to the last."""
    last = max(total - 1, 0)
    if points is None or points > total:
        return np.arange(last + 1)
    corners = []
    for _, schedule in table:
        corners.append(getattr(schedule, "warmup_steps", 0))
        corners.append(total - getattr(schedule, "cooldown_steps", 0))
    steps = [*np.linspace(0, last, points).round(), *corners]
    return np.unique(np.clip(steps, 0, last).astype("int64"))
