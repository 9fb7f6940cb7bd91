"""The command line: `keras-paligemma generate | convert | info`.

Keras is imported only by the command that runs, so that `--help` and mistakes
in the arguments answer at once.
"""

import argparse
import json
import sys
from pathlib import Path

SAMPLERS = ("greedy", "top_k", "top_p", "random", "beam")
FORMATS = ("keras", "transformers")
DTYPES = ("float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


def main(argv=None):
    """Runs one command.

    Args:
        argv: list of strings. The words after the program's name; those of
            this process if `None`.

    Returns:
        The exit code: 0, or 2 when an argument or a file is at fault, which
        one line on the standard error says.

    Example:

    ```python
    from keras_paligemma.cli import main

    main(["info", "/path/of/a/checkpoint"])
    ```
    """
    options = make_parser().parse_args(argv)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"keras-paligemma: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def make_parser():
    parser = argparse.ArgumentParser(
        prog="keras-paligemma",
        description="PaliGemma on Keras 3. KERAS_BACKEND chooses the backend.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_generate(commands)
    add_convert(commands)
    add_info(commands)
    return parser


def add_generate(commands):
    parser = commands.add_parser(
        "generate", help="answer a prompt about one image or several"
    )
    parser.set_defaults(run=run_generate)
    parser.add_argument(
        "--preset",
        required=True,
        help="a preset name, hf:// or kaggle:// handle, folder or .npz file",
    )
    parser.add_argument(
        "--image",
        required=True,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="may be repeated: all images belong to the one prompt",
    )
    parser.add_argument("--prompt", required=True, help='as "caption en"')
    parser.add_argument(
        "--max-length",
        type=positive_int,
        help="of prompt and answer together, in tokens, images not counted",
    )
    parser.add_argument("--sampler", choices=SAMPLERS, default="greedy")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--k", type=positive_int, default=5, help="of top_k")
    parser.add_argument("--p", type=float, default=0.9, help="of top_p")
    parser.add_argument("--beams", type=positive_int, default=3, help="of beam")
    parser.add_argument("--seed", type=int, help="of the sampler")
    parser.add_argument(
        "--stream", action="store_true", help="print words as they are decoded"
    )
    add_model_options(parser)


def add_convert(commands):
    parser = commands.add_parser(
        "convert", help="write a checkpoint in another format"
    )
    parser.set_defaults(run=run_convert)
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST", type=Path)
    parser.add_argument("--to", choices=FORMATS, required=True)
    add_model_options(parser)


def add_info(commands):
    parser = commands.add_parser(
        "info", help="tell a checkpoint's sizes, without loading its weights"
    )
    parser.set_defaults(run=run_info)
    parser.add_argument("preset", metavar="P")
    parser.add_argument(
        "--json", action="store_true", help="for another program to read"
    )


def add_model_options(parser):
    parser.add_argument(
        "--dtype", choices=DTYPES, help="the checkpoint's own by default"
    )
    parser.add_argument(
        "--image-size",
        type=positive_int,
        metavar="PIXELS",
        help="resize the position embeddings for images of this size",
    )


def positive_int(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def load_model(preset, options):
    from keras_paligemma import PaliGemmaCausalLM
    from keras_paligemma.checkpoints import open_checkpoint

    checkpoint = open_checkpoint(preset)
    dtype = options.dtype
    if dtype is None and checkpoint.format != "keras":
        # A preset of our own knows its dtype policy; elsewhere Keras would
        # take float32, whatever the weights are stored in.
        dtype = checkpoint.dtype
    return PaliGemmaCausalLM.from_preset(
        checkpoint.path,
        image_size=options.image_size,
        progress=True,
        **({"dtype": dtype} if dtype else {}),
    )


def make_sampler(options):
    """Returns the Keras-Hub sampler that the options describe."""
    from keras_hub import samplers

    temperature, seed = options.temperature, options.seed
    if temperature <= 0:
        raise ValueError(
            "`--temperature` must be above 0; `--sampler greedy` is its limit "
            f"at 0. Received: temperature={temperature}"
        )
    if options.sampler == "greedy":
        return samplers.GreedySampler()
    if options.sampler == "beam":
        return samplers.BeamSampler(
            num_beams=options.beams, temperature=temperature
        )
    if options.sampler == "top_k":
        return samplers.TopKSampler(
            k=options.k, temperature=temperature, seed=seed
        )
    if options.sampler == "top_p":
        return samplers.TopPSampler(
            p=options.p, temperature=temperature, seed=seed
        )
    return samplers.RandomSampler(temperature=temperature, seed=seed)


def run_generate(options):
    sampler = make_sampler(options)
    for image in options.image:
        if not Path(image).is_file():
            raise FileNotFoundError(
                f"`--image` must name a file. Received: image={image}"
            )
    model = load_model(options.preset, options)
    model.compile(sampler=sampler)
    # One row: several images are all its own.
    images = options.image if len(options.image) > 1 else options.image[0]
    inputs = {"images": images, "prompts": options.prompt}
    settings = {"max_length": options.max_length, "seed": options.seed}
    if options.stream:
        for piece in model.generate_stream(inputs, **settings):
            print(piece, end="", flush=True)
        print()
    else:
        print(model.generate(inputs, strip_prompt=True, **settings))


def run_convert(options):
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


def run_info(options):
    facts = describe(options.preset)
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if isinstance(value, dict):
            print(f"{name}:")
            inner = max(len(key) for key in value)
            for key, number in value.items():
                print(f"  {key:<{inner}}  {as_text(number)}")
        else:
            print(f"{name:<{width}}  {as_text(value)}")


def as_text(value):
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else str(value)


def describe(preset):
    """Reads a checkpoint's description.

    Args:
        preset: string. Whatever `from_preset` takes.

    Returns:
        A dict of what it is and a dict of the parameters of each component.
    """
    import math

    from keras_paligemma.checkpoints import open_checkpoint
    from keras_paligemma.checkpoints.canonical import canonical_shapes

    checkpoint = open_checkpoint(preset)
    arguments = checkpoint.arguments
    parameters = {}
    for path, shape in canonical_shapes(arguments).items():
        component = path.split("/")[0]
        parameters[component] = parameters.get(component, 0) + math.prod(shape)
    parameters["all"] = sum(parameters.values())
    patches = arguments["image_size"] // arguments["vit_patch_size"]
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "dtype": str(checkpoint.dtype),
        "image tokens": patches**2,
        "vocabulary": arguments["vocabulary_size"],
        "parameters": parameters,
        "arguments": dict(arguments),
    }


if __name__ == "__main__":
    sys.exit(main())
