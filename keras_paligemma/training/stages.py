"""Stages of training as data: what `compile` and `fit` are to be given.

Published, in the PaliGemma papers: image sizes, text lengths, numbers of
examples, peak rates, one reciprocal square root through stages 1, 2a and 2b,
Adam at its defaults, nothing frozen, detection, segmentation and reading
weighted up in stage 2. Not published, and therefore this project's own:
batch sizes, lengths of the warm-ups, the batch size to which the timescale of
10,000 steps belongs, mixture weights, clip norm, and no weight decay,
smoothing or dropout.
"""

import dataclasses

from keras_paligemma.training.durations import duration_to_steps
from keras_paligemma.training.rate_settings import RateSettings
from keras_paligemma.training.rate_settings import in_examples
from keras_paligemma.training.stage_checks import check_stage

# Patterns hold for `re.search` and `re.fullmatch` alike, and for the paths of
# a backbone and of a task over it.
IMAGE_ENCODER = r"^(.*/)?image_encoder/.*"
IMAGE_ENCODER_AND_PROJECTOR = r"^(.*/)?(image_encoder|projector)/.*"
EVERYTHING = r".*"
# What big_vision's default pattern reaches in PaliGemma: Gemma's weights have
# other names there.
PUBLISHED_DECAY_PATTERN = r"^(.*/)?(image_encoder|projector)/(.*/)?kernel$"


@dataclasses.dataclass(frozen=True)
class Stage:
    """The settings of one stage of training.

    Example:

    ```python
    stage = Stage(
        "flowers",
        image_size=224,
        text_length=32,
        epochs=10,
        mixture={"flowers": 1.0},
        rates=(
            (r"^(.*/)?image_encoder/.*", None),  # frozen
            (r".*", RateSettings("cosine", peak=1e-5, warmup="5%")),
        ),
        batch_size=64,
    )
    stage.total_steps(examples_per_epoch=6400)  # 1000
    stage.schedules(examples_per_epoch=6400)
    # [("^(.*/)?image_encoder/.*", None), (".*", <CosineSchedule>)]
    dataclasses.replace(stage, batch_size=32)  # a variant
    ```

    Args:
        name: string. What logs call it.
        image_size: int. Pixels on a side.
        text_length: int. Text tokens: prefix, separator, suffix.
        mixture: dict of task name to positive weight, or a sequence of such
            pairs, as which it is kept. Only their ratios count.
        rates: sequence of `(pattern, settings)`. For each variable the first
            regular expression found in its path decides: `RateSettings`, or
            `None` to freeze it.
        batch_size: int. Examples a step.
        examples: int. Length of the stage, in examples.
        epochs: float. The same in epochs. Exactly one of the two is given.
        label_smoothing: float, from 0, below 1.
        dropout: float, from 0, below 1. In the decoder.
        dtype: string. Keras dtype policy. The published runs hold parameters
            in float32, as `"float32"` and `"mixed_bfloat16"` do.
        decoupled_weight_decay: float. What one update takes off a weight, as
            a fraction of it, while the schedule stands at its peak. It is
            not multiplied by the peak rate, as `weight_decay` of a Keras
            optimizer is, whose value is this divided by the peak.
        weight_decay_pattern: string. Regular expression of the paths that
            decay; by default kernels of image encoder and projector.
        clip_norm: float. Limit of the one global norm of the gradients of
            all trained variables, or `None`.
        optimizer: `"adam"`, as published, or `"muon"`: `ComponentMuon`.
        adam_betas: pair of floats.
        num_images: int. Images, or frames of a video, an example.
        frame_stride: int. Video frames from one taken to the next.
        prompt: string. Template of the prefix, or `None` for the tasks' own.

    Raises:
        ValueError: If a setting is missing or does not fit.
    """

    name: str
    image_size: int
    text_length: int
    mixture: tuple
    rates: tuple
    batch_size: int
    examples: int | None = None
    epochs: float | None = None
    label_smoothing: float = 0.0
    dropout: float = 0.0
    dtype: str = "float32"
    decoupled_weight_decay: float = 0.0
    weight_decay_pattern: str = PUBLISHED_DECAY_PATTERN
    clip_norm: float | None = 1.0
    optimizer: str = "adam"
    adam_betas: tuple = (0.9, 0.999)
    num_images: int = 1
    frame_stride: int | None = None
    prompt: str | None = None

    def __post_init__(self):
        # Tuples all through: a stage can be hashed and compared.
        mixture = self.mixture
        pairs = mixture.items() if hasattr(mixture, "items") else mixture
        for name, rows in (
            ("mixture", tuple(map(tuple, pairs))),
            ("rates", tuple(map(tuple, self.rates))),
            ("adam_betas", tuple(self.adam_betas)),
        ):
            object.__setattr__(self, name, rows)
        check_stage(self)

    def total_steps(self, examples_per_epoch=None):
        """The number of updates, to the nearest.

        Args:
            examples_per_epoch: int. Needed if the length is in epochs.

        Returns:
            An int.

        Raises:
            ValueError: If `examples_per_epoch` is needed and missing.
        """
        if self.examples is not None:
            length, name = f"{self.examples} examples", "examples"
        else:
            length, name = f"{self.epochs} epochs", "epochs"
        return duration_to_steps(
            length, self.batch_size, examples_per_epoch, name=name
        )

    def model_arguments(self):
        """What `PaliGemmaCausalLM.from_preset` is to be given for the stage.

        Example:

        ```python
        PaliGemmaCausalLM.from_preset(previous, **stage.model_arguments())
        ```

        Returns:
            A dict: `image_size`, to which positions are resized; `dropout`;
            `dtype`; and `sequence_length`, of the text.
        """
        return {
            "image_size": self.image_size,
            "dropout": self.dropout,
            "dtype": self.dtype,
            "sequence_length": self.text_length,
        }

    def schedules(self, total_steps=None, examples_per_epoch=None):
        """The table of patterns and schedules, for the optimizer.

        Args:
            total_steps: int. Length of the run, if not the stage's own.
            examples_per_epoch: int. Needed if a length is in epochs.

        Returns:
            A list of `(pattern, schedule)`: a
            `keras.optimizers.schedules.LearningRateSchedule`, or `None` for
            frozen variables. The first match wins.

        Raises:
            ValueError: If a schedule does not fit in the run.
        """
        if total_steps is None:
            total_steps = self.total_steps(examples_per_epoch)
        table = []
        for pattern, settings in self.rates:
            try:
                schedule = settings and settings.schedule(
                    total_steps, self.batch_size, examples_per_epoch
                )
            except ValueError as error:
                raise ValueError(
                    f"Stage {self.name}, rates of {pattern}: {error}"
                ) from error
            table.append((pattern, schedule))
        return table

    def scaled(self, factor):
        """The same stage with all its rates multiplied by `factor`.

        The decay, which is not a multiple of the rate, stays.
        """
        return dataclasses.replace(
            self,
            rates=[
                (pattern, settings and settings.scaled(factor))
                for pattern, settings in self.rates
            ],
        )

    def continued(self, examples_per_epoch=None, **changes):
        """The next stage, whose rates go on where this one's stand.

        Example:

        ```python
        STAGE_1.continued(name="more pixels", image_size=448, examples=10**6)
        ```

        Args:
            examples_per_epoch: int. Needed if a length is in epochs.
            **changes: settings of the next stage that differ from this
                one's. `examples` replaces `epochs`, and the other way round.

        Returns:
            A `Stage`.

        Raises:
            ValueError: If a rate cannot go on: it ended at zero, or is still
                in its warm-up.
        """
        if "rates" not in changes:
            steps = self.total_steps(examples_per_epoch)
            run = (steps, self.batch_size, examples_per_epoch)
            changes["rates"] = [
                (pattern, settings and settings.continued(*run))
                for pattern, settings in self.rates
            ]
        if "examples" in changes:
            changes.setdefault("epochs", None)
        elif "epochs" in changes:
            changes["examples"] = None
        return dataclasses.replace(self, **changes)


def _stage_1():
    """Stage 1; which of its numbers are ours, this file's first lines say."""
    peak, batch_size = 2e-5, 2048
    timescale = 10_000 * batch_size
    warmup, image_encoder_warmup = 5_000 * batch_size, 50_000 * batch_size
    curve = RateSettings(
        "rsqrt",
        peak=peak,
        warmup=in_examples(warmup),
        timescale=in_examples(timescale),
    )
    # The shift lets the longer ramp end on the others' curve.
    slow = dataclasses.replace(
        curve,
        warmup=in_examples(image_encoder_warmup),
        shift=in_examples(image_encoder_warmup - warmup),
    )
    return Stage(
        "stage 1",
        image_size=224,
        text_length=128,
        examples=10**9,
        mixture={
            "caption": 4.0,
            "ocr": 2.0,
            "answer": 2.0,
            "question": 2.0,
            "detect": 2.0,
            "segment": 2.0,
            "grounded_caption": 1.0,
        },
        rates=((IMAGE_ENCODER, slow), (EVERYTHING, curve)),
        batch_size=batch_size,
    )


STAGE_1 = _stage_1()
STAGE_2_448 = STAGE_1.continued(
    name="stage 2a",
    image_size=448,
    text_length=512,
    examples=5 * 10**7,
    mixture={
        "caption": 2.0,
        "ocr": 4.0,
        "answer": 2.0,
        "question": 1.0,
        "detect": 4.0,
        "segment": 4.0,
        "grounded_caption": 1.0,
    },
    batch_size=1024,
)
STAGE_2_896 = STAGE_2_448.continued(
    name="stage 2b", image_size=896, examples=10**7, batch_size=512
)
