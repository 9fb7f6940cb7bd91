"""`keras-paligemma evaluate`: how good a model is at a task."""

import json
import os
from pathlib import Path

from keras_paligemma.commands.model_options import add_model_options
from keras_paligemma.commands.model_options import load_model
from keras_paligemma.commands.model_options import positive_int

TASK_NAMES = (
    "caption",
    "ocr",
    "answer",
    "question",
    "detect",
    "segment",
    "grounded_caption",
)


def add_parser(commands):
    parser = commands.add_parser(
        "evaluate", help="measure a model's answers to records of a task"
    )
    parser.set_defaults(run=run)
    parser.add_argument("--preset", required=True, help="as for generate")
    parser.add_argument("--task", required=True, choices=TASK_NAMES)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data",
        metavar="FILE.jsonl",
        help="lines with image, prefix, suffix; those of the task count",
    )
    parser.add_argument(
        "--image-root",
        metavar="FOLDER",
        help="what the file names images from; its own folder by default",
    )
    source.add_argument(
        "--synthetic",
        type=int,
        metavar="SEED",
        help="images of the synthetic world, of the model's size",
    )
    parser.add_argument(
        "--count",
        type=positive_int,
        help="records; all of a file, 1000 of the synthetic world by default",
    )
    parser.add_argument(
        "--split", default="test", help="of the synthetic world, any name"
    )
    parser.add_argument(
        "--languages",
        nargs="+",
        default=["en"],
        metavar="LANGUAGE",
        help="of the synthetic world: en de fr es it pt",
    )
    parser.add_argument("--batch-size", type=positive_int, default=8)
    parser.add_argument(
        "--max-length",
        type=positive_int,
        help="of prompt and answer together, in tokens, images not counted",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="detect, segment: without grammar and scores, as `generate`",
    )
    parser.add_argument(
        "--codec",
        metavar="FILE.npz",
        help="segment: the mask codec that the model was trained with, such "
        "as vae-oid.npz; 'shipped' for the one of this package, the default "
        "for its own presets",
    )
    parser.add_argument("--out", type=Path, metavar="REPORT.json")
    parser.add_argument("--predictions", type=Path, metavar="FILE.jsonl")
    parser.add_argument(
        "--pictures", type=Path, metavar="FILE.png", help="of the first records"
    )
    parser.add_argument("--num-pictures", type=positive_int, default=16)
    add_model_options(parser)


def run(options):
    # Mistakes in words and files first; the model takes longer.
    codec = make_codec(options)
    records = make_records(options, codec)
    from keras_paligemma.evaluation import evaluate

    model = load_model(options.preset, options)
    predict = model
    if options.task in ("detect", "segment") and not options.plain:
        predict = make_finder(model, options.task, options.max_length)
    evaluation = evaluate(
        predict,
        records,
        options.task,
        batch_size=options.batch_size,
        max_length=options.max_length,
        codec=codec,
    )
    print_table(evaluation)
    if options.out:
        report = {
            **evaluation.report(),
            "preset": options.preset,
            "data": options.data,
            "synthetic": options.synthetic,
            "codec": options.codec,
        }
        write_text(options.out, json.dumps(report, indent=2) + "\n")
    if options.predictions:
        lines = (
            json.dumps(row, ensure_ascii=False) + "\n"
            for row in evaluation.predictions
        )
        write_text(options.predictions, "".join(lines))
    if options.pictures:
        save_pictures(evaluation, records, options)


def make_codec(options):
    """The codec of masks, or `None` where there are none."""
    if options.task != "segment":
        return None
    from keras_paligemma.checkpoints import shipped_presets

    if options.codec is None and options.preset in shipped_presets():
        options.codec = "shipped"
    if options.codec is None:
        raise ValueError(
            "Masks need the codec that the model was trained with: "
            "`--codec vae-oid.npz` for the published models, "
            "`--codec shipped` for those of this package. Received: "
            "task=segment, no codec"
        )
    from keras_paligemma.tasks.mask_vqvae import load_mask_codec

    shipped = options.codec == "shipped"
    return load_mask_codec(None if shipped else options.codec)


def make_records(options, codec):
    """The records to evaluate on, a sequence."""
    if options.data is None:
        return synthetic_records(options, codec)
    from keras_paligemma.data import read_jsonl
    from keras_paligemma.tasks import task_of

    tasks = []
    records = []
    for record in read_jsonl(options.data, image_root=options.image_root):
        asked = task_of(record.prefix)
        tasks.append(record.task or (asked and asked.name))
        if tasks[-1] == options.task:
            records.append(record)
    if not records:
        found = sorted(map(str, set(tasks)))
        raise ValueError(
            f"{options.data}: no record is of the task. Received: "
            f"task={options.task}, records of {', '.join(found)}"
        )
    return records[: options.count]


def synthetic_records(options, codec):
    from keras_paligemma.checkpoints import open_checkpoint
    from keras_paligemma.data.synthetic import SyntheticWorld

    size = options.image_size
    if size is None:
        size = open_checkpoint(options.preset).arguments["image_size"]
    world = SyntheticWorld(
        image_size=size,
        seed=options.synthetic,
        split=options.split,
        languages=options.languages,
        codec=codec,
    )
    return world.task(options.task, options.count or 1000)


def make_finder(model, task, max_length):
    """What finds boxes or masks with scores, under the task's grammar."""
    from keras_paligemma.tasks import TASKS
    from keras_paligemma.vision_tasks import PaliGemmaTasks

    tasks = PaliGemmaTasks(model, max_length=max_length)

    def find(records):
        images = [record.raw()["images"] for record in records]
        things = [
            list(TASKS[task].read_prefix(record.prefix)["things"])
            for record in records
        ]
        return getattr(tasks, task)(images, things)

    return find


def print_table(evaluation):
    import rich.console
    import rich.table

    table = rich.table.Table(
        "measure",
        rich.table.Column("value", justify="right"),
        title=f"{evaluation.task}, {evaluation.count:,} records",
    )
    for name, value in evaluation.metrics.items():
        table.add_row(name, f"{value:.4f}")
    table.add_row("unparsable", f"{evaluation.unparsable:,}")
    for kind, number in evaluation.problems.items():
        table.add_row(f"  {kind}", f"{number:,}")
    rich.console.Console().print(table)


def save_pictures(evaluation, records, options):
    from keras_paligemma.evaluation import contact_sheet
    from keras_paligemma.evaluation import prediction_picture
    from keras_paligemma.evaluation import save_picture

    shown = min(options.num_pictures, len(records))
    pictures = []
    for record, row in zip(
        (records[index] for index in range(shown)),
        evaluation.predictions[:shown],
        strict=True,
    ):
        images = list(record.decoded().images)
        texts = (row["prefix"], row["expected"], row["predicted"])
        pictures.append(prediction_picture(images, *texts))
    save_picture(contact_sheet(pictures), options.pictures)


def write_text(path, text):
    """Writes a file that is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
