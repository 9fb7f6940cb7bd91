"""`keras-paligemma convert`: a checkpoint in another format."""

from pathlib import Path

from keras_paligemma.commands.model_options import add_model_options
from keras_paligemma.commands.model_options import load_model

FORMATS = ("keras", "transformers")


def add_parser(commands):
    parser = commands.add_parser(
        "convert", help="write a checkpoint in another format"
    )
    parser.set_defaults(run=run)
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST", type=Path)
    parser.add_argument("--to", choices=FORMATS, required=True)
    add_model_options(parser)


def run(options):
    destination = options.destination
    if destination.exists() and (
        not destination.is_dir() or any(destination.iterdir())
    ):
        raise ValueError(
            "The destination must be a new or empty folder: nothing is "
            f"overwritten. Received: destination={destination}"
        )
    model = load_model(options.source, options)
    if options.to == "transformers":
        model.export_to_transformers(str(destination))
    else:
        model.save_to_preset(str(destination))
    print(f"{destination}: {options.to}, {model.count_params():,} parameters")
