"""Pictures of training: schedules before a run, logs after it.

Matplotlib draws them, which the extra `plots` installs; nothing else in the
package needs it.
"""

import math
import os
from pathlib import Path

import numpy as np

from keras_paligemma.training.schedule_curves import schedule_curves
from keras_paligemma.training.training_log import read_log

# Okabe and Ito's, which colour-blind people can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-.", ":")
# The narrowest panel of a stage, as a share of the widest.
NARROWEST = 0.45


def plot_schedules(
    stages,
    path,
    examples_per_epoch=None,
    log_rate=False,
    title=None,
    points=500,
):
    """Draws the learning rate of every component over all stages.

    A panel is a stage, in their order, under one scale of rates; its width
    follows the stage's length, but short stages are drawn wide enough to
    read. Below stand examples seen since the first stage, above the steps of
    the stage, which batch sizes make different. Components that share a rate
    everywhere share a line.

    Example:

    ```python
    plot_schedules([STAGE_1, STAGE_2_448, STAGE_2_896], "rates.png")
    plot_schedules([recipe("vqav2", 224)], "vqav2.png", 443_757)
    ```

    Args:
        stages: list of `Stage`.
        path: string or path. An image file; its ending tells the format.
        examples_per_epoch: int. Needed if a length is in epochs.
        log_rate: bool. Whether the scale of rates is logarithmic.
        title: string or `None`.
        points: int. As in `schedule_curves`.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: As `schedule_curves`, or if the format is not known.
    """
    lines = _shared_lines(schedule_curves(stages, examples_per_epoch, points))
    totals = [stage.total_steps(examples_per_epoch) for stage in stages]
    spans = [
        total * stage.batch_size
        for total, stage in zip(totals, stages, strict=True)
    ]
    widths = [max(span / max(spans), NARROWEST) for span in spans]
    figure = _new_figure(1.6 + max(5.0, 4.2 * sum(widths)), 4.6)
    panels = figure.subplots(
        1, len(stages), sharey=True, squeeze=False, width_ratios=widths
    )[0]
    begin = 0
    for place, (panel, stage) in enumerate(zip(panels, stages, strict=True)):
        for number, (_, curves) in enumerate(lines):
            curve = curves[place]
            if curve.rates is None:
                continue
            rates = np.asarray(curve.rates, "float64")
            panel.plot(
                curve.examples,
                np.where(rates > 0, rates, np.nan) if log_rate else rates,
                color=COLORS[number % len(COLORS)],
                linestyle=STYLES[number % len(STYLES)],
                linewidth=2,
            )
        frozen = [name for name, c in lines if c[place].rates is None]
        _finish_stage(panel, stage, begin, totals[place], frozen)
        for axis in (panel, *panel.child_axes):
            axis.locator_params(axis="x", nbins=5 if widths[place] > 0.6 else 3)
        begin += spans[place]
    panels[0].set_ylabel("learning rate")
    if log_rate:
        panels[0].set_yscale("log")
    else:
        panels[0].margins(y=0.08)
        panels[0].set_ylim(bottom=0)
        panels[0].yaxis.set_major_formatter("{x:.3g}")
    figure.supxlabel("examples seen, from the first stage on", fontsize=10)
    _add_legend(panels[int(np.argmax(widths))], lines)
    if title:
        figure.suptitle(title, fontsize=13)
    _save(figure, path)


def plot_log(jsonl_paths, path, names=None):
    """Draws the series of one training log or several over the step.

    Example:

    ```python
    # Lines of run/log.jsonl: {"step": 10, "loss": 2.3, "rate": 1e-5}
    plot_log(["run/log.jsonl"], "log.png")
    plot_log(["a/log.jsonl", "b/log.jsonl"], "loss.png", names=["loss"])
    ```

    Args:
        jsonl_paths: path or list of paths. Files with a JSON object a line:
            `step`, and numbers by name. Other values are passed over, and a
            last line that was not written to its end.
        path: string or path. An image file; its ending tells the format.
        names: list of strings or `None`. The series to draw, a panel each;
            by default all, the losses first.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If a log is damaged or has nothing to draw.
    """
    if isinstance(jsonl_paths, str | Path):
        jsonl_paths = [jsonl_paths]
    logs = [read_log(log) for log in jsonl_paths]
    known = list(dict.fromkeys(name for log in logs for name in log))
    if names is None:
        # A stable sort: losses first, else in the order of the log.
        names = sorted(known, key=lambda name: "loss" not in name)
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise ValueError(
            f"The logs have the series {known}. Received: "
            f"names={names}, jsonl_paths={[str(log) for log in jsonl_paths]}"
        )
    columns = min(len(names), 2)
    rows = math.ceil(len(names) / columns)
    figure = _new_figure(5.2 * columns + 0.6, 2.7 * rows + 0.9)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    labels = _short_labels(jsonl_paths)
    for name, panel in zip(names, panels.flat, strict=False):
        for number, (log, label) in enumerate(zip(logs, labels, strict=True)):
            if name not in log:
                continue
            steps, values = log[name]
            panel.plot(
                steps,
                values,
                color=COLORS[number % len(COLORS)],
                linewidth=1.5,
                marker="o" if len(steps) < 30 else None,
                markersize=3,
                label=label,
            )
        panel.set_title(name, fontsize=10, loc="left", fontweight="bold")
        panel.set_xlabel("step", fontsize=9)
        panel.xaxis.set_major_formatter(_count)
        panel.yaxis.set_major_formatter("{x:.4g}")
        panel.margins(x=0.02)
        _plain(panel)
    if len(logs) > 1:
        handles = [
            _line(COLORS[number % len(COLORS)], "-", label)
            for number, label in enumerate(labels)
        ]
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=min(len(handles), 4),
            frameon=False,
        )
    _save(figure, path)


def _shared_lines(curves):
    """Pairs of label and curves, components with the same rates together."""
    lines = []
    for name, mine in curves.items():
        for names, theirs in lines:
            if all(
                _same(a.rates, b.rates)
                for a, b in zip(mine, theirs, strict=True)
            ):
                names.append(name)
                break
        else:
            lines.append(([name], mine))
    return [(", ".join(names), mine) for names, mine in lines]


def _same(one, other):
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _new_figure(width, height):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Drawing needs matplotlib: `pip install keras-paligemma[plots]`."
        ) from error
    # No pyplot: nothing global, and no display.
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def _finish_stage(panel, stage, begin, total, frozen):
    """Title, limits, and an axis of steps above that of examples."""
    size = stage.batch_size
    panel.set_xlim(begin, begin + total * size)
    steps = panel.secondary_xaxis(
        "top",
        functions=(lambda x: (x - begin) / size, lambda s: s * size + begin),
    )
    steps.set_xlabel(f"steps of {size:,} examples", fontsize=9)
    steps.tick_params(labelsize=8, colors="#555555")
    steps.spines["top"].set_color("#bbbbbb")
    for axis in (panel, steps):
        axis.xaxis.set_major_formatter(_count)
    panel.set_title(
        f"{stage.name}\n{stage.image_size} px, {stage.text_length} text tokens",
        fontsize=10,
    )
    _plain(panel)
    if frozen:
        panel.text(
            0.5,
            0.02,
            "frozen: " + ", ".join(frozen),
            transform=panel.transAxes,
            ha="center",
            va="bottom",
            fontsize=8,
            color="#555555",
        )


def _add_legend(panel, lines):
    handles = [
        _line(COLORS[number % len(COLORS)], STYLES[number % len(STYLES)], label)
        for number, (label, curves) in enumerate(lines)
        if any(curve.rates is not None for curve in curves)
    ]
    panel.legend(handles=handles, loc="upper right", fontsize=9)


def _line(color, style, label):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linestyle=style, lw=2, label=label)


def _plain(panel):
    panel.grid(alpha=0.25)
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    panel.tick_params(labelsize=8)


def _count(value, place=None):
    """A number of steps or examples, short: `25 k`, `1,050 M`."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:,.6g}{unit}"
    return f"{value:.6g}"


def _short_labels(paths):
    """File names, with as many folders as tell them apart."""
    parts = [Path(path).with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(p[-depth:]) for p in parts]
        if len(set(labels)) == len(labels):
            break
    return labels


def _save(figure, path):
    """Writes beside the file, then renames: no half picture is left."""
    path = Path(path)
    kind = path.suffix.lstrip(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(
            f"The file must end in one of {', '.join(sorted(known))}. "
            f"Received: path={path}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(partial, format=kind)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
