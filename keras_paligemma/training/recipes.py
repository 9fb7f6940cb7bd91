"""Stage 3: the published transfers, 31 tasks in 63 settings, as stages.

The table beside this file holds what differs between them. Common to all:
Adam with b2 0.999, a cosine to zero after a linear warm-up of 5 %, clipping
at 1.0, parameters in float32.
"""

import csv
import functools
import importlib.resources

from keras_paligemma.training.rate_settings import RateSettings
from keras_paligemma.training.stages import EVERYTHING
from keras_paligemma.training.stages import IMAGE_ENCODER_AND_PROJECTOR
from keras_paligemma.training.stages import Stage
from keras_paligemma.training.variants import transfer_rate

TABLE = "transfer_recipes.csv"
# Published elsewhere in the same configurations, and empty in the table.
TEXT_LENGTHS = {
    "activitynet_cap": 64,
    "activitynet_qa": 64,
    "chartqa": 48,
    "coco35l": 32,
    "msrvtt_cap": 32,
    "msrvtt_qa": 64,
    "msvd_qa": 64,
    "vatex_cap": 64,
}
NUM_IMAGES = {"nlvr2": 2}
FALLBACK_EPOCHS = 10
# COCO-35L is the one task published in examples; images of its training set.
EXAMPLES_PER_EPOCH = {"coco35l": 113_287}


@functools.cache
def _rows():
    """The table: a dict of `(task, resolution)` to a row, a dict of strings."""
    file = importlib.resources.files("keras_paligemma.training") / TABLE
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {(row["task"], int(row["resolution"])): row for row in rows}


def recipe_names():
    """The published transfers and the image sizes of each.

    Example:

    ```python
    recipe_names()["vqav2"]  # (224, 448)
    ```

    Returns:
        A dict of task name to a tuple of ints, in alphabetical order.
    """
    names = {}
    for task, resolution in sorted(_rows()):
        names[task] = (*names.get(task, ()), resolution)
    return names


def _rates(peak, freeze_image_encoder=False):
    cosine = RateSettings("cosine", peak=peak, warmup="5%")
    # The published switch freezes the projector too: big_vision holds it
    # within the image encoder, as its head.
    frozen = ((IMAGE_ENCODER_AND_PROJECTOR, None),)
    return (frozen if freeze_image_encoder else ()) + ((EVERYTHING, cosine),)


def recipe(task, image_size, variant="pali_gemma_3b"):
    """A published transfer.

    Example:

    ```python
    stage = recipe("vqav2", 448)
    stage.epochs  # 10
    stage.schedules(examples_per_epoch=443_757)
    recipe("vqav2", 448, "pali_gemma2_10b")  # the same, with rate 1e-6
    ```

    Args:
        task: string. One of `recipe_names()`.
        image_size: int. One of the task's.
        variant: string. `"pali_gemma_3b"`, or `"pali_gemma2_3b"`,
            `"pali_gemma2_10b"`, `"pali_gemma2_28b"`, for which the learning
            rate alone differs; it was swept at 224 pixels, and holds here for
            every size. The decay stays that of PaliGemma.

    Returns:
        A `Stage`.

    Raises:
        ValueError: If the task was not published, or not at this image size,
            or not for this variant.
    """
    names = recipe_names()
    if task not in names:
        raise ValueError(
            f"`task` must be one of {', '.join(names)}; for any other, "
            f"`fallback_recipe` has settings. Received: task={task}"
        )
    if image_size not in names[task]:
        raise ValueError(
            f"The recipe {task} was published at {names[task]} pixels; "
            "`dataclasses.replace` makes another of it. "
            f"Received: image_size={image_size}"
        )
    row = _rows()[task, image_size]
    peak = float(row["learning_rate"])
    if variant != "pali_gemma_3b":
        peak = transfer_rate(task, variant)
    return Stage(
        f"{task} {image_size}",
        image_size=image_size,
        text_length=int(row["text_length"] or TEXT_LENGTHS[task]),
        epochs=int(row["epochs"]) if row["epochs"] else None,
        examples=int(row["examples"]) if row["examples"] else None,
        mixture={task: 1.0},
        rates=_rates(peak, row["image_encoder"] == "frozen"),
        batch_size=int(row["batch_size"]),
        label_smoothing=float(row["label_smoothing"]),
        dropout=float(row["dropout"]),
        decoupled_weight_decay=float(row["weight_decay"]),
        num_images=int(row["num_frames"] or NUM_IMAGES.get(task, 1)),
        frame_stride=int(row["frame_stride"]) if row["frame_stride"] else None,
        prompt=row["prefix"],
    )


def fallback_recipe(task, image_size=224, epochs=None, text_length=None):
    """The published simple recipe, the same for every task.

    Rate 1e-5, batch 256, no dropout, no smoothing, no decay, nothing frozen.
    On most tasks it was published to come within 2.5 % of the tuned recipe.

    Example:

    ```python
    fallback_recipe("chartqa", 448).epochs  # 10, where the best is 30
    fallback_recipe("flowers", 224, epochs=3, text_length=16)
    ```

    Args:
        task: string. One of `recipe_names()`, or a task of your own.
        image_size: int. Pixels on a side.
        epochs: float. By default the published task's, at most 10; else 10.
        text_length: int. By default the published task's; else 128.

    Returns:
        A `Stage`.

    Raises:
        ValueError: If a setting does not fit.
    """
    sizes = recipe_names().get(task, ())
    known = None
    if sizes:
        known = recipe(task, image_size if image_size in sizes else sizes[0])
    if epochs is None:
        epochs = FALLBACK_EPOCHS
        if known is not None:
            best = known.epochs or known.examples / EXAMPLES_PER_EPOCH[task]
            epochs = min(best, FALLBACK_EPOCHS)
    if text_length is None:
        text_length = known.text_length if known else 128
    return Stage(
        f"{task} {image_size}, simple",
        image_size=image_size,
        text_length=text_length,
        epochs=epochs,
        mixture={task: 1.0},
        rates=_rates(1e-5),
        batch_size=256,
        num_images=known.num_images if known else 1,
        frame_stride=known.frame_stride if known else None,
        prompt=known.prompt if known else None,
    )
