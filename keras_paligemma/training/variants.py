"""What the size of the model changes: published learning rates."""

# Peak rates of stages 1 and 2, relative to PaliGemma's 2e-5.
PRETRAINING_FACTORS = {
    "pali_gemma_3b": 1.0,
    "pali_gemma2_3b": 0.5,
    "pali_gemma2_10b": 0.25,
    "pali_gemma2_28b": 0.25,
}

# Best rates of PaliGemma 2's sweep at 224 pixels (its paper, table 14), for
# 3B, 10B, 28B, by the names of the recipes. Where two rates tie, or two
# splits of a task differ, the lower one stands here; that choice is ours.
# Videos were not swept at 28B.
TRANSFER_RATES = {
    "activitynet_cap": (3e-6, 3e-6, None),
    "activitynet_qa": (6e-6, 6e-6, None),
    "ai2d": (6e-6, 1e-6, 3e-6),
    "aokvqa_da": (3e-6, 1e-6, 6e-7),
    "aokvqa_mc": (3e-6, 3e-7, 1e-6),
    "chartqa": (3e-6, 3e-7, 3e-7),
    "coco35l": (3e-6, 6e-7, 3e-7),
    "cococap": (3e-6, 6e-7, 6e-7),
    "docvqa": (6e-6, 3e-6, 3e-6),
    "gqa": (3e-6, 1e-6, 3e-6),
    "infovqa": (3e-6, 6e-7, 3e-7),
    "msrvtt_cap": (1e-5, 1e-6, None),
    "msrvtt_qa": (6e-6, 3e-6, None),
    "msvd_qa": (3e-6, 1e-6, None),
    "nlvr2": (6e-6, 1e-6, 3e-6),
    "ocrvqa": (1e-6, 3e-7, 3e-7),
    "okvqa": (3e-6, 1e-6, 1e-6),
    "refcoco_seg": (1e-5, 3e-6, 1e-6),
    "rsvqa_hr": (1e-5, 6e-6, 6e-7),
    "rsvqa_lr": (3e-6, 1e-5, 6e-6),
    "scicap": (3e-5, 3e-5, 3e-5),
    "science_qa": (6e-6, 1e-6, 1e-6),
    "screen2words": (6e-6, 1e-6, 1e-6),
    "stvqa": (6e-6, 3e-6, 3e-6),
    "tallyqa": (1e-5, 3e-6, 3e-6),
    "textcaps": (1e-6, 1e-6, 3e-7),
    "textvqa": (3e-6, 6e-7, 1e-6),
    "vatex_cap": (3e-6, 3e-6, None),
    "vizwizvqa": (1e-5, 3e-6, 3e-6),
    "vqav2": (3e-6, 1e-6, 6e-7),
    "widgetcap": (3e-6, 1e-6, 6e-7),
}
SWEPT = ("pali_gemma2_3b", "pali_gemma2_10b", "pali_gemma2_28b")


def pretraining_factor(variant):
    """By what a size of the model multiplies PaliGemma's pre-training rates.

    Example:

    ```python
    pretraining_factor("pali_gemma2_10b")  # 0.25
    ```

    Args:
        variant: string. `"pali_gemma_3b"`, `"pali_gemma2_3b"`,
            `"pali_gemma2_10b"` or `"pali_gemma2_28b"`.

    Returns:
        A float.

    Raises:
        ValueError: If there is no such variant.
    """
    if variant not in PRETRAINING_FACTORS:
        raise ValueError(
            f"`variant` must be one of {', '.join(PRETRAINING_FACTORS)}. "
            f"Received: variant={variant}"
        )
    return PRETRAINING_FACTORS[variant]


def transfer_rate(task, variant):
    """PaliGemma 2's published learning rate of a transfer.

    Example:

    ```python
    transfer_rate("vqav2", "pali_gemma2_10b")  # 1e-6
    ```

    Args:
        task: string. The name of a recipe.
        variant: string. `"pali_gemma2_3b"`, `"pali_gemma2_10b"` or
            `"pali_gemma2_28b"`.

    Returns:
        A float.

    Raises:
        ValueError: If nothing was published for the task at this size.
    """
    if variant not in SWEPT:
        raise ValueError(
            f"`variant` must be one of {', '.join(SWEPT)}. "
            f"Received: variant={variant}"
        )
    rates = TRANSFER_RATES.get(task, (None,) * len(SWEPT))
    rate = rates[SWEPT.index(variant)]
    if rate is None:
        raise ValueError(
            "No learning rate was published for this task at this size: take "
            "the recipe of another variant, and scale it by "
            f"`Stage.scaled`. Received: task={task}, variant={variant}"
        )
    return rate


def stage_for_variant(stage, variant):
    """A pre-training stage with the peaks of another size of the model.

    Published: 2e-5 for PaliGemma, half of it for PaliGemma 2 3B, a quarter
    for 10B and 28B.

    Example:

    ```python
    stage_for_variant(STAGE_1, "pali_gemma2_10b")  # peak 5e-6
    ```

    Args:
        stage: `Stage`. One with PaliGemma's rates, such as `STAGE_1`.
        variant: string. `"pali_gemma_3b"`, `"pali_gemma2_3b"`,
            `"pali_gemma2_10b"` or `"pali_gemma2_28b"`.

    Returns:
        A `Stage`.

    Raises:
        ValueError: If there is no such variant.
    """
    return stage.scaled(pretraining_factor(variant))
