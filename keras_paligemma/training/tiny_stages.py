"""The stages of the tiny PaliGemma, trained on the synthetic world.

The published order of things in small: stage 1 on all seven tasks, with the
image encoder's own slow warm-up; stage 2 with more pixels, reweighted towards
reading, boxes and masks, on the same infinite schedule; stage 3 a mix of the
tasks, cooled down to zero. All numbers are this project's own. Muon, for with
Adam the answers do not come to depend on the images in so short a run.
"""

import dataclasses

from keras_paligemma.training.rate_settings import RateSettings
from keras_paligemma.training.rate_settings import in_examples
from keras_paligemma.training.stages import EVERYTHING
from keras_paligemma.training.stages import IMAGE_ENCODER
from keras_paligemma.training.stages import Stage

BATCH_SIZE = 64
# Of the others' rate.
IMAGE_ENCODER_SHARE = 0.3
# What two CPU cores learn from in three hours.
EXAMPLES = {"stage_1": 320_000, "stage_2": 32_000, "mix": 32_000}


def tiny_stages(scale=1.0, dtype="float32", examples=None):
    """Stages 1, 2 and the mix of the tiny PaliGemma.

    Args:
        scale: float. Multiplies the number of examples of each stage.
        dtype: string. Keras dtype policy.
        examples: dict of stage to int, where other than `EXAMPLES`: with a
            GPU, for instance.

    Returns:
        dict of name to `Stage`: `"stage_1"`, `"stage_2"`, `"mix"`.

    Raises:
        ValueError: If `examples` names another stage.

    Example:

    ```python
    stage = tiny_stages(scale=0.1)["stage_1"]
    stage.image_size, stage.total_steps()  # (112, 500)
    ```
    """

    unknown = set(examples or ()) - set(EXAMPLES)
    if unknown:
        raise ValueError(
            f"`examples` must be given for stages among {list(EXAMPLES)}. "
            f"Received: examples={examples}"
        )
    lengths = {
        name: max(BATCH_SIZE, round(length * scale))
        for name, length in {**EXAMPLES, **(examples or {})}.items()
    }
    # Short runs are not all warm-up.
    steps = lengths["stage_1"] / BATCH_SIZE
    warmup = round(min(100, 0.1 * steps)) * BATCH_SIZE
    slow = round(min(300, 0.3 * steps)) * BATCH_SIZE
    curve = RateSettings(
        "rsqrt",
        peak=2e-3,
        warmup=in_examples(warmup),
        timescale=in_examples(3_000 * BATCH_SIZE),
    )
    # It sees already: a fast one would forget before the decoder listens. The
    # shift lets the longer ramp end on the others' curve.
    image_encoder = dataclasses.replace(
        curve,
        peak=IMAGE_ENCODER_SHARE * curve.peak,
        warmup=in_examples(slow),
        shift=in_examples(slow - warmup),
    )
    stage_1 = Stage(
        "tiny stage 1",
        image_size=112,
        text_length=192,
        examples=lengths["stage_1"],
        mixture={
            "caption": 4.0,
            "ocr": 1.0,
            "answer": 2.0,
            "question": 0.5,
            "detect": 3.0,
            "segment": 1.0,
            "grounded_caption": 4.0,
        },
        rates=((IMAGE_ENCODER, image_encoder), (EVERYTHING, curve)),
        batch_size=BATCH_SIZE,
        optimizer="muon",
        adam_betas=(0.9, 0.95),
        dtype=dtype,
    )
    stage_2 = stage_1.continued(
        name="tiny stage 2",
        image_size=224,
        examples=lengths["stage_2"],
        mixture={
            "caption": 2.0,
            "ocr": 4.0,
            "answer": 2.0,
            "question": 1.0,
            "detect": 3.0,
            "segment": 3.0,
            "grounded_caption": 1.5,
        },
    )
    mix = stage_2.continued(
        name="tiny mix",
        examples=lengths["mix"],
        mixture={
            "caption": 3.0,
            "ocr": 3.0,
            "answer": 2.0,
            "question": 1.0,
            "detect": 2.0,
            "segment": 2.0,
            "grounded_caption": 1.0,
        },
    )
    rates = [
        (pattern, dataclasses.replace(rate, cooldown="100%"))
        for pattern, rate in mix.rates
    ]
    mix = dataclasses.replace(mix, rates=rates)
    return {"stage_1": stage_1, "stage_2": stage_2, "mix": mix}
