"""Measures the tiny PaliGemma's presets on pictures it never saw.

    python -m examples.evaluate_tiny --out runs/quality \\
        --presets runs/tiny/stage_1/model runs/tiny/mix/model

Each task, and captions in each language, on records of the synthetic world's
split "test", of another seed than the training's; decoded as the package's
own evaluators and grammars do it. Results are kept in one JSON file a preset
and backend; what is in it is not measured again. `--table` prints the files
of a folder side by side, `--plot` draws them.
"""

import argparse
import json
import pathlib

import keras

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.commands.evaluate import make_finder
from keras_paligemma.commands.evaluate import write_text
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.evaluation import evaluate
from keras_paligemma.tasks.mask_vqvae import load_mask_codec

SEED = 1
# Name of a row: task, language, the measure that the project set itself a
# goal for, and the goal; an error is to be below it.
ROWS = {
    "caption en": ("caption", "en", "exact_match", 0.80),
    "caption de": ("caption", "de", "exact_match", 0.70),
    "caption es": ("caption", "es", "exact_match", 0.70),
    "caption fr": ("caption", "fr", "exact_match", 0.70),
    "caption it": ("caption", "it", "exact_match", 0.70),
    "caption pt": ("caption", "pt", "exact_match", 0.70),
    "ocr": ("ocr", "en", "character_error_rate", 0.10),
    "answer": ("answer", "en", "accuracy", 0.90),
    "question": ("question", "en", "valid", 0.90),
    "detect": ("detect", "en", "mAP@0.5", 0.70),
    "segment": ("segment", "en", "mean_iou", 0.70),
    "grounded caption": ("grounded_caption", "en", "exact_match", 0.85),
}
# What the table shows besides, of the same records; without a goal.
DETAILS = {
    "detect": ("mAP@[.5:.95]", "mAP@[.5:.95]/small"),
    "grounded caption": ("exact_match/small",),
}


def measure_row(model, row, count, batch_size):
    """Evaluates one task in one language; returns the report."""
    task, language, _, _ = ROWS[row]
    codec = load_mask_codec() if task == "segment" else None
    world = SyntheticWorld(
        model.backbone.image_size,
        seed=SEED,
        split="test",
        languages=(language,),
        order="canonical",
        codec=codec,
    )
    predict = model
    if task in ("detect", "segment"):
        predict = make_finder(model, task, None)
    return evaluate(
        predict,
        world.task(task, count),
        task,
        batch_size=batch_size,
        codec=codec,
    ).report()


def short_name(preset):
    """A name for a preset: of a run's model, the run's folder."""
    path = pathlib.Path(preset)
    return path.parent.name if path.name == "model" else path.name


def measure_preset(preset, options):
    """Measures what the preset's file does not hold yet."""
    backend = keras.config.backend()
    path = options.out / f"{short_name(preset)}.{backend}.json"
    reports = json.loads(path.read_text()) if path.exists() else {}
    missing = [
        row
        for row in options.rows
        if reports.get(row, {}).get("count") != options.count
    ]
    if not missing:
        return
    model = PaliGemmaCausalLM.from_preset(preset)
    for row in missing:
        reports[row] = measure_row(model, row, options.count, options.batch)
        print(preset, row, reports[row]["metrics"], flush=True)
        write_text(path, json.dumps(reports, indent=1) + "\n")


def read_reports(folder):
    """dict of preset and backend to what was measured."""
    files = sorted(pathlib.Path(folder).glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def table(reports):
    """The reports as lines of a Markdown table."""
    lines = [
        "| task | measure | goal | " + " | ".join(reports) + " |",
        "|---" * (3 + len(reports)) + "|",
    ]
    for row, (_, _, main_measure, goal) in ROWS.items():
        sign = "≤" if "error" in main_measure else "≥"
        goals = {main_measure: f"{sign} {goal:.2f}"}
        for measure in (main_measure, *DETAILS.get(row, ())):
            values = [figure_of(x, row, measure) for x in reports.values()]
            figures = ["-" if v is None else f"{v:.3f}" for v in values]
            cells = [row, measure, goals.get(measure, ""), *figures]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure_of(report, row, measure=None):
    """A measure of a row, or `None` where it was not measured."""
    metrics = report.get(row, {}).get("metrics", {})
    return metrics.get(measure or ROWS[row][2])


def plot(reports, path):
    """Draws the reports as bars, a group a task, with the goals as lines."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure((10, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(1, len(reports))
    names = list(ROWS)
    for number, (name, report) in enumerate(reports.items()):
        places = [index + width * (number + 0.5) for index in range(len(names))]
        heights = [figure_of(report, row) or 0.0 for row in names]
        axes.bar(places, heights, 0.9 * width, label=name)
    for index, row in enumerate(names):
        goal = ROWS[row][3]
        axes.plot([index, index + 0.8], [goal, goal], "k--", linewidth=1)
    labels = [
        f"{row}\n(character error)" if "error" in ROWS[row][2] else row
        for row in names
    ]
    centres = [index + 0.4 for index in range(len(names))]
    axes.set_xticks(centres, labels, rotation=30, ha="right")
    axes.set_ylim(0, 1)
    axes.set_ylabel("share right; dashed: the goal")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=100)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--presets", nargs="+", default=[])
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--count", type=int, default=1000, help="records a row")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE.png")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for preset in options.presets:
        measure_preset(preset, options)
    if options.table:
        print(table(read_reports(options.out)))
    if options.plot:
        plot(read_reports(options.out), options.plot)


if __name__ == "__main__":
    main()
