"""`keras-paligemma plot`: pictures of schedules and of training logs."""

from keras_paligemma.commands.model_options import positive_int

STAGES = {"1": "STAGE_1", "2a": "STAGE_2_448", "2b": "STAGE_2_896"}
VARIANTS = (
    "pali_gemma_3b",
    "pali_gemma2_3b",
    "pali_gemma2_10b",
    "pali_gemma2_28b",
)


def add_parser(commands):
    parser = commands.add_parser(
        "plot", help="draw learning rates before a run, or its log after it"
    )
    pictures = parser.add_subparsers(required=True, metavar="PICTURE")
    schedules = pictures.add_parser(
        "schedules", help="the rate of each component over stages"
    )
    schedules.set_defaults(run=run_schedules)
    what = schedules.add_mutually_exclusive_group()
    what.add_argument(
        "--stages",
        nargs="+",
        choices=STAGES,
        default=list(STAGES),
        help="of pre-training; all by default",
    )
    what.add_argument(
        "--recipe", metavar="TASK", help="a published transfer, as vqav2"
    )
    schedules.add_argument(
        "--image-size",
        type=positive_int,
        metavar="PIXELS",
        help="of the recipe; its smallest by default",
    )
    schedules.add_argument(
        "--variant", choices=VARIANTS, default=VARIANTS[0], help="whose rates"
    )
    schedules.add_argument(
        "--examples-per-epoch",
        type=positive_int,
        metavar="N",
        help="of the recipe's training set; its length is in epochs",
    )
    schedules.add_argument(
        "--log-rate", action="store_true", help="a logarithmic scale of rates"
    )
    log = pictures.add_parser("log", help="loss and the rest of JSONL logs")
    log.set_defaults(run=run_log)
    log.add_argument("logs", nargs="+", metavar="FILE.jsonl")
    log.add_argument(
        "--series", nargs="+", metavar="NAME", help="which; all by default"
    )
    for picture in (schedules, log):
        picture.add_argument(
            "--out", required=True, metavar="FILE.png", help="or .svg, .pdf"
        )


def run_schedules(options):
    from keras_paligemma import training
    from keras_paligemma.plots import plot_schedules

    title = None
    if options.recipe:
        sizes = training.recipe_names().get(options.recipe, (None,))
        size = options.image_size or sizes[0]
        stages = [training.recipe(options.recipe, size, options.variant)]
        if stages[0].epochs and options.examples_per_epoch is None:
            raise ValueError(
                f"The recipe {options.recipe} lasts {stages[0].epochs} epochs: "
                "give `--examples-per-epoch`, the size of its training set."
            )
    else:
        stages = [
            training.stage_for_variant(
                getattr(training, STAGES[name]), options.variant
            )
            for name in options.stages
        ]
        title = f"{options.variant}, pre-training"
    plot_schedules(
        stages,
        options.out,
        options.examples_per_epoch,
        log_rate=options.log_rate,
        title=title,
    )
    print(options.out)


def run_log(options):
    from keras_paligemma.plots import plot_log

    plot_log(options.logs, options.out, names=options.series)
    print(options.out)
