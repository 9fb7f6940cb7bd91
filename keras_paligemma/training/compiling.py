"""From a stage's settings to a compiled model."""

import dataclasses
import re

from keras_paligemma.training.freezing import freeze
from keras_paligemma.training.muon import ComponentMuon
from keras_paligemma.training.optimizer import ComponentAdam


def stage_optimizer(
    stage,
    total_steps=None,
    examples_per_epoch=None,
    gradient_accumulation_steps=None,
):
    """The optimizer of a stage, with the stage's rates by component.

    Example:

    ```python
    stage_optimizer(STAGE_1).rates(step=0)
    ```

    Args:
        stage: `Stage`.
        total_steps: int. Updates of the run, if not the stage's own.
        examples_per_epoch: int. Needed if a length is in epochs.
        gradient_accumulation_steps: int or `None`. Batches an update.

    Returns:
        A `ComponentAdam` or `ComponentMuon`.
    """
    beta_1, beta_2 = stage.adam_betas
    decay = None
    if stage.decoupled_weight_decay:
        decay = [(stage.weight_decay_pattern, stage.decoupled_weight_decay)]
    kind = {"adam": ComponentAdam, "muon": ComponentMuon}[stage.optimizer]
    return kind(
        stage.schedules(total_steps, examples_per_epoch),
        beta_1=beta_1,
        beta_2=beta_2,
        weight_decay=decay,
        global_clipnorm=stage.clip_norm,
        gradient_accumulation_steps=gradient_accumulation_steps,
    )


def compile_for_stage(
    model,
    stage,
    total_steps=None,
    examples_per_epoch=None,
    gradient_accumulation_steps=None,
    **kwargs,
):
    """Freezes and compiles a model as a stage says.

    Example:

    ```python
    stage = recipe("textcaps", 224)
    compile_for_stage(model, stage, examples_per_epoch=21_953)
    model.fit(...)
    ```

    Args:
        model: `PaliGemmaCausalLM`.
        stage: `Stage`.
        total_steps, examples_per_epoch, gradient_accumulation_steps: As for
            `stage_optimizer`.
        **kwargs: Further arguments of `compile`.

    Raises:
        ValueError: If the model was not made for the stage: another image
            size or another dropout.
    """
    check_model(model, stage)
    if model.preprocessor is not None:
        model.preprocessor.sequence_length = stage.text_length
    freeze(model, stage.schedules(total_steps, examples_per_epoch))
    decays = re.compile(stage.weight_decay_pattern)
    if not any(decays.search(v.path) for v in model.trainable_variables):
        # LoRA freezes the kernels that would decay.
        stage = dataclasses.replace(stage, decoupled_weight_decay=0.0)
    model.compile(
        optimizer=stage_optimizer(
            stage, total_steps, examples_per_epoch, gradient_accumulation_steps
        ),
        label_smoothing=stage.label_smoothing,
        **kwargs,
    )


def check_model(model, stage):
    """Raises a `ValueError` if a model was not made for a stage."""
    backbone = model.backbone
    for name in ("image_size", "dropout"):
        wanted, received = getattr(stage, name), getattr(backbone, name)
        if wanted != received:
            raise ValueError(
                f"Stage {stage.name} needs a model with {name}={wanted}. "
                f"Received: {name}={received}. Load it with `from_preset("
                "..., **stage.model_arguments())`"
            )
