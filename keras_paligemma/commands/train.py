"""`keras-paligemma train`: a stage or a recipe, on one's own data."""

import argparse
import contextlib
import dataclasses

from keras_paligemma.commands.model_options import DTYPES
from keras_paligemma.commands.model_options import positive_int

STAGES = {
    "stage_1": "STAGE_1",
    "stage_2_448": "STAGE_2_448",
    "stage_2_896": "STAGE_2_896",
}
TINY = {"tiny_stage_1": "stage_1", "tiny_stage_2": "stage_2", "tiny_mix": "mix"}


def add_parser(commands):
    parser = commands.add_parser(
        "train",
        help="train on JSONL data by a published recipe; goes on if killed",
        description="Started again with the same words, a run goes on where "
        "it was interrupted.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--recipe",
        required=True,
        metavar="NAME",
        help="a published transfer (textcaps, vqav2, ...), `simple`, or "
        + ", ".join((*STAGES, *TINY)),
    )
    parser.add_argument(
        "--preset", required=True, help="where to begin, as for generate"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--synthetic",
        type=int,
        metavar="SEED",
        help="the tasks of the synthetic world, by the stage's weights",
    )
    source.add_argument(
        "--data",
        nargs="+",
        type=named_file,
        metavar="[NAME=]FILE.jsonl",
        help="lines with image, prefix, suffix; several are mixed by the "
        "stage's weights for their names, or by their sizes",
    )
    parser.add_argument("--workdir", required=True, help="the run's folder")
    parser.add_argument("--validation", metavar="FILE.jsonl")
    parser.add_argument(
        "--image-size", type=positive_int, metavar="PIXELS", help="224 or more"
    )
    parser.add_argument("--variant", default="pali_gemma_3b", help="its rates")
    parser.add_argument("--epochs", type=float, help="instead of the recipe's")
    parser.add_argument("--examples", type=positive_int, help="the same")
    parser.add_argument("--batch-size", type=positive_int)
    parser.add_argument("--text-length", type=positive_int)
    parser.add_argument(
        "--rate-factor", type=float, default=1.0, help="on all learning rates"
    )
    parser.add_argument("--dtype", choices=DTYPES)
    parser.add_argument(
        "--accumulate",
        type=positive_int,
        metavar="N",
        help="divide a batch into N, to save memory",
    )
    parser.add_argument("--lora-rank", type=positive_int, metavar="R")
    parser.add_argument(
        "--quantize", choices=("int8", "int4"), help="the base under LoRA"
    )
    parser.add_argument(
        "--remat", action="store_true", help="recompute activations"
    )
    parser.add_argument(
        "--checkpoint-every", type=positive_int, metavar="STEPS"
    )
    parser.add_argument("--keep", type=positive_int, default=2)
    parser.add_argument("--keep-every", type=positive_int, metavar="STEPS")
    parser.add_argument(
        "--samples",
        type=int,
        default=4,
        metavar="N",
        help="predictions to show at each checkpoint",
    )
    parser.add_argument(
        "--skip-bad-examples",
        action="store_true",
        help="and count them, instead of stopping",
    )
    parser.add_argument(
        "--readers",
        type=int,
        default=0,
        metavar="N",
        help="processes that read ahead; 0 reads in threads",
    )
    parser.add_argument(
        "--length-window",
        type=positive_int,
        default=1,
        metavar="BATCHES",
        help="sort so many batches by length, to pad less",
    )
    parser.add_argument("--seed", type=int, default=0)


def named_file(text):
    name, equals, path = text.partition("=")
    if not equals:
        name, path = "", text
    if not path:
        raise argparse.ArgumentTypeError(f"{text} names no file")
    return name, path


def run(options):
    # Mistakes in words and files first; the model takes longer.
    stage = make_stage(options)
    data, validation = make_data(options, stage)
    import keras

    from keras_paligemma.data import ReaderProcesses
    from keras_paligemma.models import PaliGemmaCausalLM

    keras.utils.set_random_seed(options.seed)
    arguments = stage.model_arguments()
    model = PaliGemmaCausalLM.from_preset(
        options.preset, progress=True, remat=options.remat, **arguments
    )
    if options.quantize:
        if not options.lora_rank:
            raise ValueError(
                "Quantized weights cannot be trained: give `--lora-rank` too. "
                f"Received: quantize={options.quantize}"
            )
        model.quantize(options.quantize)
    if options.lora_rank:
        model.backbone.enable_lora(options.lora_rank)
    samples = None
    if options.samples:
        samples = (
            {key: rows[: options.samples] for key, rows in validation.items()}
            if validation
            else data.batch(0, options.samples)
        )
    with contextlib.ExitStack() as stack:
        if options.readers:
            data = stack.enter_context(ReaderProcesses(data, options.readers))
        train_on(model, stage, data, validation, samples, options)
    print(f"{options.workdir}/model: {stage.name}, trained")


def train_on(model, stage, data, validation, samples, options):
    from keras_paligemma.training import train

    train(
        model,
        stage,
        data,
        options.workdir,
        validation_data=validation,
        checkpoint_every=options.checkpoint_every,
        keep=options.keep,
        keep_every=options.keep_every,
        gradient_accumulation_steps=options.accumulate,
        samples=samples,
        length_window=options.length_window,
        facts={
            "preset": options.preset,
            "seed": options.seed,
            "lora_rank": options.lora_rank,
            "quantize": options.quantize,
        },
    )


def make_stage(options):
    """The recipe with what the options change."""
    from keras_paligemma import training

    size = options.image_size
    if options.recipe in TINY:
        stage = training.tiny_stages()[TINY[options.recipe]]
        if options.examples:
            # The stages before it, and warm-ups, are as much shorter.
            scale = options.examples / stage.examples
            stage = training.tiny_stages(scale)[TINY[options.recipe]]
        size = size or stage.image_size
    elif options.recipe in STAGES:
        stage = training.stage_for_variant(
            getattr(training, STAGES[options.recipe]), options.variant
        )
        size = size or stage.image_size
    elif options.recipe == "simple":
        size = size or 224
        stage = training.fallback_recipe("simple", size)
    else:
        published = training.recipe_names().get(options.recipe, (224,))
        size = size or published[0]
        near = size if size in published else published[0]
        stage = training.recipe(options.recipe, near, options.variant)
    changes = {"image_size": size}
    for name in ("batch_size", "text_length", "dtype"):
        if getattr(options, name) is not None:
            changes[name] = getattr(options, name)
    if options.epochs and options.examples:
        raise ValueError(
            "A run's length is `--epochs` or `--examples`, not both. Received: "
            f"epochs={options.epochs}, examples={options.examples}"
        )
    if options.epochs:
        changes |= {"epochs": options.epochs, "examples": None}
    if options.examples:
        changes |= {"examples": options.examples, "epochs": None}
    return dataclasses.replace(stage, **changes).scaled(options.rate_factor)


def make_data(options, stage):
    """The mixture to train on, and raw examples to evaluate on or `None`."""
    from keras_paligemma.data import Mixture
    from keras_paligemma.data import read_jsonl

    if options.synthetic is not None:
        return synthetic_data(options, stage)
    on_error = "skip" if options.skip_bad_examples else "raise"
    weights = dict(stage.mixture)
    sources = {}
    for name, path in options.data:
        records = read_jsonl(path, on_error=on_error)
        name = name or path
        if name in sources:
            raise ValueError(
                f"Each file of `--data` needs a name of its own. Received: "
                f"{name} twice"
            )
        sources[name] = records, weights.get(name, float(len(records)))
    known = [name in weights for name in sources]
    if any(known) and not all(known):
        raise ValueError(
            f"Name either all files of `--data` by the stage's mixture, or "
            f"none. Received: {list(sources)}, mixture={weights}"
        )
    validation = None
    if options.validation:
        records = read_jsonl(options.validation, on_error=on_error)
        validation = undecoded(records)
    mixture = Mixture(sources, seed=options.seed, on_error=on_error)
    return mixture, validation


def synthetic_data(options, stage):
    """The same, of the synthetic world."""
    from keras_paligemma.data import read_jsonl
    from keras_paligemma.data.synthetic import synthetic_mixture
    from keras_paligemma.tasks import TASKS
    from keras_paligemma.tasks.mask_vqvae import load_mask_codec

    tasks = dict(stage.mixture)
    if not set(tasks) <= set(TASKS):
        raise ValueError(
            "`--synthetic` needs a recipe whose mixture names tasks, as "
            f"{', '.join((*STAGES, *TINY))}. Received: "
            f"recipe={options.recipe}, mixture={list(tasks)}"
        )
    codec = load_mask_codec() if "segment" in tasks else None
    mixture = synthetic_mixture(
        tasks, stage.image_size, options.synthetic, codec
    )
    validation = None
    if options.validation:
        validation = undecoded(read_jsonl(options.validation))
    return mixture, validation


def undecoded(records):
    """Records as `fit` takes them, their images still files."""
    records = list(records)
    return {
        "images": [
            record.images[0] if len(record.images) == 1 else list(record.images)
            for record in records
        ],
        "prompts": [record.prefix for record in records],
        "responses": [record.suffix for record in records],
    }
