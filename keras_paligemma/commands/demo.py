"""`keras-paligemma demo`: all seven tasks on one image, with no network."""

import importlib.util
from pathlib import Path

PRESET = "pali_gemma_tiny_mix_224"
# What to look for on an image of one's own.
THINGS = ("circle", "star", "heart", "cat", "house", "tree")


def add_parser(commands):
    parser = commands.add_parser(
        "demo",
        help="run all seven tasks on an image; needs no network",
        description="Without --image, a scene of the synthetic world is "
        "drawn, which the shipped model was trained on; of photographs it "
        "knows nothing.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--image", metavar="FILE")
    parser.add_argument(
        "--things",
        nargs="+",
        metavar="THING",
        help="to detect and segment; by default what the scene shows",
    )
    parser.add_argument("--question", help="to answer")
    parser.add_argument("--preset", default=PRESET, help="as for generate")
    parser.add_argument(
        "--codec", metavar="FILE.npz", help="of masks; the shipped by default"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the scene")
    parser.add_argument(
        "--out", type=Path, default=Path("demo.png"), metavar="FILE.png"
    )


def run(options):
    from keras_paligemma.models import PaliGemmaCausalLM
    from keras_paligemma.tasks.mask_vqvae import load_mask_codec
    from keras_paligemma.vision_tasks import PaliGemmaTasks

    # Mistakes in words and files first; the model takes longer.
    image, things, question = make_input(options)
    codec = load_mask_codec(options.codec)
    model = PaliGemmaCausalLM.from_preset(options.preset)
    tasks = PaliGemmaTasks(model, codec=codec)
    found = tasks.detect(image, things)
    masks = tasks.segment(image, things)
    answers = [
        ("caption en", tasks.caption(image)),
        ("caption de", tasks.caption(image, lang="de")),
        ("ocr", tasks.ocr(image)),
        (f"answer en {question}", tasks.answer(image, question)),
        ("question en yes", tasks.ask(image, "yes")),
        (f"detect {' ; '.join(things)}", list_of(found.boxes)),
        (
            f"segment {' ; '.join(things)}",
            list_of([mask.box for mask in masks.masks]),
        ),
    ]
    answers += [
        (f"caption {box.tokens()}", tasks.describe_region(image, box))
        for box in found.boxes[:2]
    ]
    print_answers(answers)
    save(image, answers, found, masks, codec, options.out)
    print(f"{options.out}: the image with boxes and masks")


def make_input(options):
    """The image, what to look for on it, and a question about it."""
    from keras_paligemma.data.image_decoding import decode_image

    if options.image is not None:
        if not Path(options.image).is_file():
            raise FileNotFoundError(
                f"`--image` must name a file. Received: image={options.image}"
            )
        question = options.question or "What is in the image?"
        things = options.things or THINGS
        return decode_image(options.image), tuple(things), question
    from keras_paligemma.data.synthetic import SyntheticWorld

    # Without matplotlib's fonts, in the one that Pillow has.
    fonts = "matplotlib"
    if importlib.util.find_spec("matplotlib") is None:
        fonts = "pillow"
    world = SyntheticWorld(
        224, seed=options.seed, split="demo", fonts=fonts, scripts="latin"
    )
    scene = world.scene(first_with_word(world))
    kinds = tuple(dict.fromkeys(thing.kind for thing in scene.objects))
    question = options.question or f"Is there a {kinds[0]} in the image?"
    return scene.image, tuple(options.things or kinds[:3]), question


def first_with_word(world):
    """The index of the first scene with a word and several objects."""
    index = 0
    while True:
        scene = world.scene(index)
        kinds = {thing.kind for thing in scene.objects}
        if scene.words and len(scene.objects) <= 4 and len(kinds) > 1:
            return index
        index += 1


def list_of(boxes):
    return ", ".join(f"{box.label} ({box.score:.2f})" for box in boxes) or "-"


def print_answers(answers):
    import rich.console
    import rich.table
    import rich.text

    table = rich.table.Table("prompt", "answer")
    for prompt, answer in answers:
        # Text: square brackets are no markup here.
        table.add_row(rich.text.Text(prompt), rich.text.Text(answer))
    rich.console.Console().print(table)


def save(image, answers, found, masks, codec, path):
    """Writes the image, with its boxes, and with its masks, side by side."""
    from keras_paligemma.evaluation import contact_sheet
    from keras_paligemma.evaluation import prediction_picture
    from keras_paligemma.evaluation import save_picture
    from keras_paligemma.tasks import TASKS

    words = dict(answers)
    boxes = TASKS["detect"].suffix(list(found.boxes))
    coded = TASKS["segment"].suffix(list(masks.masks))
    pictures = [
        prediction_picture(image, "caption en", None, words["caption en"]),
        prediction_picture(image, "detect", None, boxes),
        prediction_picture(
            image, "segment", None, coded, decode_masks=codec.decode
        ),
    ]
    save_picture(contact_sheet(pictures, columns=3), path)
