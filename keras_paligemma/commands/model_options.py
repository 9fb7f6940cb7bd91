"""Options that several commands share, and the model that they load."""

import argparse

DTYPES = ("float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


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
    from keras_paligemma.checkpoints import open_checkpoint
    from keras_paligemma.models import PaliGemmaCausalLM

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
