"""`keras-paligemma memory`: what a training run needs, before it starts."""

from keras_paligemma.commands.model_options import DTYPES
from keras_paligemma.commands.model_options import positive_int

COMPONENTS = ("image_encoder", "projector", "embedding", "decoder")
VARIANTS = (
    "pali_gemma_3b",
    "pali_gemma2_3b",
    "pali_gemma2_10b",
    "pali_gemma2_28b",
)


def add_parser(commands):
    parser = commands.add_parser(
        "memory", help="estimate the memory that a training run needs"
    )
    parser.set_defaults(run=run)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--variant", choices=VARIANTS, default=VARIANTS[0])
    which.add_argument(
        "--preset", metavar="P", help="a checkpoint in place of a variant"
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="print the largest batches for ways to train, image sizes, cards",
    )
    parser.add_argument("--image-size", type=positive_int, metavar="PIXELS")
    parser.add_argument("--batch-size", type=positive_int, default=1)
    parser.add_argument(
        "--text-length", type=positive_int, help="in tokens; 128 by default"
    )
    parser.add_argument(
        "--num-images", type=positive_int, default=1, help="an example"
    )
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument(
        "--optimizer", choices=("adam", "adafactor", "sgd"), default="adam"
    )
    parser.add_argument(
        "--freeze", nargs="+", choices=COMPONENTS, default=[], metavar="PART"
    )
    parser.add_argument("--lora-rank", type=positive_int)
    parser.add_argument("--quantize", choices=("int8", "int4"))
    parser.add_argument(
        "--remat", action="store_true", help="blocks recompute activations"
    )
    parser.add_argument(
        "--gradient-accumulation",
        type=positive_int,
        default=1,
        metavar="BATCHES",
    )
    parser.add_argument(
        "--fused-attention",
        action="store_true",
        help="attention keeps no matrix, as on PyTorch",
    )


def run(options):
    from keras_paligemma.training import memory
    from keras_paligemma.training.memory import table

    arguments = backbone_arguments(options)
    if options.image_size:
        arguments["image_size"] = options.image_size
    if options.table:
        settings = {"fused_attention": options.fused_attention}
        if options.text_length:
            settings["text_length"] = options.text_length
        sizes = (options.image_size,) if options.image_size else (224, 448, 896)
        print(table.fitting_table(arguments, sizes, **settings))
        return
    estimate = memory.estimate_memory(
        arguments,
        batch_size=options.batch_size,
        text_length=options.text_length or 128,
        num_images=options.num_images,
        dtype=options.dtype,
        optimizer=options.optimizer,
        frozen=options.freeze,
        lora_rank=options.lora_rank,
        quantize=options.quantize,
        remat=options.remat,
        gradient_accumulation=options.gradient_accumulation,
        fused_attention=options.fused_attention,
    )
    print(table.parts_text(estimate))


def backbone_arguments(options):
    from keras_paligemma.checkpoints import open_checkpoint
    from keras_paligemma.checkpoints import published_arguments

    if options.preset:
        return dict(open_checkpoint(options.preset).arguments)
    return published_arguments(f"{options.variant}_224")
