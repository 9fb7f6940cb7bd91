"""`keras-paligemma generate`: the answer to a prompt about images."""

from pathlib import Path

from keras_paligemma.commands.model_options import add_model_options
from keras_paligemma.commands.model_options import load_model
from keras_paligemma.commands.model_options import positive_int

SAMPLERS = ("greedy", "top_k", "top_p", "random", "beam")


def add_parser(commands):
    parser = commands.add_parser(
        "generate", help="answer a prompt about one image or several"
    )
    parser.set_defaults(run=run)
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


def run(options):
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
