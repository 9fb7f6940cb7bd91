"""`keras-paligemma info`: what a checkpoint is, without its weights."""

import json


def add_parser(commands):
    parser = commands.add_parser(
        "info", help="tell a checkpoint's sizes, without loading its weights"
    )
    parser.set_defaults(run=run)
    parser.add_argument("preset", metavar="P")
    parser.add_argument(
        "--json", action="store_true", help="for another program to read"
    )


def run(options):
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


def as_text(value):
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else str(value)
