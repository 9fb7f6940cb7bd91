"""`keras-paligemma dedup`: data without near-duplicates of other data."""

import contextlib
import os

from keras_paligemma.commands.model_options import positive_int


def add_parser(commands):
    parser = commands.add_parser(
        "dedup",
        help="remove near-duplicates of other images from training data",
        description="Writes the records of --data without those whose image "
        "is a near-duplicate of any image of --against, and a report with a "
        "picture of removed pairs. Started again with the same words, it goes "
        "on where it was interrupted.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--against",
        required=True,
        nargs="+",
        metavar="TRANSFER",
        help="JSONL files with `image`, or folders of images: what must not "
        "be trained on",
    )
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PRETRAIN",
        help="the same: what is trained on",
    )
    parser.add_argument(
        "--out",
        required=True,
        help="the file to write; for several of --data, a folder for as many",
    )
    parser.add_argument("--against-root", metavar="FOLDER", help="its images")
    parser.add_argument("--data-root", metavar="FOLDER", help="its images")
    parser.add_argument(
        "--report", metavar="FOLDER", help="beside --out by default"
    )
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="faulty records, and images that cannot be read: stop, or leave "
        "them out and count them",
    )
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=1,
        metavar="N",
        help="images decoded at a time; worker processes if --distributed",
    )
    parser.add_argument(
        "--chunk-size", type=positive_int, default=1000, metavar="LINES"
    )
    parser.add_argument(
        "--embeddings",
        metavar="PRESET",
        help="compare features of the image encoder of this PaliGemma or "
        "SigLIP as well",
    )
    add_limits(parser)
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="as a Ray Data pipeline",
    )
    parser.add_argument(
        "--address",
        help="a Ray cluster's, or `auto`; without it Ray is started here",
    )


def add_limits(parser):
    limits = parser.add_argument_group(
        "limits", "up to which images count as near-duplicates"
    )
    limits.add_argument("--whole", type=int, metavar="BITS", help="of 256")
    limits.add_argument("--region", type=int, metavar="BITS", help="of 64")
    limits.add_argument("--regions", type=int, metavar="N", help="of 9")
    limits.add_argument(
        "--frequencies",
        type=float,
        metavar="COSINE",
        help="of the lowest frequencies, for soft pictures",
    )
    limits.add_argument(
        "--cosine", dest="embedding", type=float, help="of embeddings"
    )


def run(options):
    from keras_paligemma.data.deduplication import Limits
    from keras_paligemma.data.deduplication import RayMap
    from keras_paligemma.data.deduplication import deduplicate

    if options.address and not options.distributed:
        raise ValueError(
            "`--address` is of a Ray cluster: give `--distributed` too. "
            f"Received: address={options.address}"
        )
    names = ("whole", "region", "regions", "frequencies", "embedding")
    given = {name: getattr(options, name) for name in names}
    limits = Limits(**{k: v for k, v in given.items() if v is not None})
    embed = None
    if options.embeddings:
        embed = PresetEmbedder(options.embeddings)
    single = len(options.data) == 1
    with contextlib.ExitStack() as stack:
        ray_map = None
        if options.distributed:
            ray_map = stack.enter_context(
                RayMap(options.address, options.workers)
            )
        summary = deduplicate(
            options.against,
            options.data[0] if single else options.data,
            options.out,
            against_root=options.against_root,
            data_root=options.data_root,
            limits=limits,
            embed=embed,
            embed_name=options.embeddings,
            on_error=options.on_error,
            workers=1 if options.distributed else options.workers,
            chunk_size=options.chunk_size,
            report=options.report,
            map_tasks=ray_map,
        )
    print(
        f"{options.out}: kept {summary['kept']:,} of {summary['records']:,} "
        f"records, removed {summary['removed']:,}, skipped "
        f"{summary['skipped']:,}; see {summary['report']}"
    )
    for source, written in summary["outputs"].items():
        root = options.data_root or (
            source if os.path.isdir(source) else os.path.dirname(source)
        )
        if not _same_folder(root, os.path.dirname(written) or "."):
            print(f"{written}: its images are named relative to {root}")


def _same_folder(first, second):
    return os.path.realpath(first) == os.path.realpath(second)


class PresetEmbedder:
    """Embeds images with a checkpoint's image encoder, read when first used.

    What is sent to a worker process is the name only.

    Args:
        preset: str. A PaliGemma or SigLIP, as for `open_image_encoder`, or a
            preset of this package.
    """

    def __init__(self, preset):
        self.preset = preset
        self._embed = None

    def __getstate__(self):
        return {"preset": self.preset, "_embed": None}

    def __call__(self, images):
        if self._embed is None:
            from keras_paligemma.data.deduplication import image_embedder

            encode, image_size = load_image_encoder(self.preset)
            self._embed = image_embedder(encode, image_size)
        return self._embed(images)


def load_image_encoder(preset):
    """Reads the image encoder of a checkpoint, and nothing else of it.

    Returns:
        A callable of pixels `[batch, size, size, 3]` that returns NumPy
        features `[batch, patches, width]`, and the size.
    """
    import keras

    from keras_paligemma.checkpoints import assign_arrays
    from keras_paligemma.checkpoints import open_image_encoder
    from keras_paligemma.checkpoints import resolve_handle
    from keras_paligemma.checkpoints.checkpoint import detect_format
    from keras_paligemma.models import PaliGemmaBackbone
    from keras_paligemma.models.image_encoder import ImageEncoder

    path = resolve_handle(preset)
    if detect_format(path)[0] == "keras":
        # Keras reads a preset of this package as a whole.
        encoder = PaliGemmaBackbone.from_preset(path).image_encoder
    else:
        part = open_image_encoder(path)
        sizes = {
            name.removeprefix("vit_"): value
            for name, value in part.arguments.items()
            if name.startswith("vit_")
        }
        encoder = ImageEncoder(
            image_size=part.arguments["image_size"],
            dtype="float32",
            name="image_encoder",
            **sizes,
        )
        encoder.build((None, encoder.image_size, encoder.image_size, 3))
        # Standing alone it names its variables without itself.
        prefix = "image_encoder/"
        assign_arrays(
            {
                prefix + variable.path.removeprefix(prefix): variable
                for variable in encoder.variables
            },
            part.arrays,
        )
    pixels = keras.Input((encoder.image_size, encoder.image_size, 3))
    model = keras.Model(pixels, encoder(pixels))
    return model.predict_on_batch, encoder.image_size
