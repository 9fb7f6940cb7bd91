"""The command line, `keras-paligemma COMMAND`: see `commands/`."""

import argparse
import sys

from keras_paligemma.commands import convert
from keras_paligemma.commands import dedup
from keras_paligemma.commands import demo
from keras_paligemma.commands import evaluate
from keras_paligemma.commands import generate
from keras_paligemma.commands import info
from keras_paligemma.commands import memory
from keras_paligemma.commands import plot
from keras_paligemma.commands import train

# In the order in which `--help` lists them.
COMMANDS = (
    demo,
    generate,
    convert,
    info,
    train,
    evaluate,
    dedup,
    memory,
    plot,
)


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
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
