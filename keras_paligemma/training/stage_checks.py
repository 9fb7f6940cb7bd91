"""What must hold of a stage's settings."""

import math
import numbers
import re

import keras

from keras_paligemma.training.rate_settings import RateSettings

OPTIMIZERS = ("adam", "muon")


def _check(condition, stage, name, expected):
    if not condition:
        raise ValueError(
            f"`{name}` of a stage must be {expected}. "
            f"Received: {name}={getattr(stage, name)!r}"
        )


def _is_count(value):
    return (
        isinstance(value, numbers.Integral)
        and not isinstance(value, bool)
        and value > 0
    )


def _is_number(value):
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _is_pattern(value):
    try:
        re.compile(value)
    except (TypeError, re.error):
        return False
    return True


def _is_policy(value):
    if not isinstance(value, str):
        return False
    try:
        keras.dtype_policies.get(value)
    except (TypeError, ValueError):
        return False
    return True


def check_stage(stage):
    """Raises `ValueError` naming the first setting that does not fit."""
    _check(stage.name, stage, "name", "a name")
    for name in ("image_size", "text_length", "batch_size", "num_images"):
        count = getattr(stage, name)
        _check(_is_count(count), stage, name, "a positive int")
    for name in ("examples", "frame_stride"):
        count = getattr(stage, name)
        _check(
            count is None or _is_count(count),
            stage,
            name,
            "a positive int or `None`",
        )
    if (stage.examples is None) == (stage.epochs is None):
        raise ValueError(
            "The length of a stage is given by one of `examples` and "
            f"`epochs`. Received: examples={stage.examples}, "
            f"epochs={stage.epochs}"
        )
    _check(
        stage.epochs is None or (_is_number(stage.epochs) and stage.epochs > 0),
        stage,
        "epochs",
        "a positive number or `None`",
    )
    for name in ("label_smoothing", "dropout"):
        value = getattr(stage, name)
        _check(
            _is_number(value) and 0 <= value < 1,
            stage,
            name,
            "a number from 0, below 1",
        )
    decay = stage.decoupled_weight_decay
    _check(
        _is_number(decay) and 0 <= decay < 1,
        stage,
        "decoupled_weight_decay",
        "a number from 0, below 1",
    )
    clip = stage.clip_norm
    _check(
        clip is None or (_is_number(clip) and clip > 0),
        stage,
        "clip_norm",
        "a positive number or `None`",
    )
    _check(
        stage.optimizer in OPTIMIZERS,
        stage,
        "optimizer",
        f"one of {OPTIMIZERS}",
    )
    betas = stage.adam_betas
    _check(
        len(betas) == 2 and all(_is_number(b) and 0 <= b < 1 for b in betas),
        stage,
        "adam_betas",
        "two numbers from 0, below 1",
    )
    _check(_is_policy(stage.dtype), stage, "dtype", "a Keras dtype policy")
    _check(
        _is_pattern(stage.weight_decay_pattern),
        stage,
        "weight_decay_pattern",
        "a regular expression",
    )
    _check_mixture(stage)
    _check_rates(stage)


def _check_mixture(stage):
    rows = stage.mixture
    names = [row[0] for row in rows if row]
    _check(
        rows
        and all(
            len(row) == 2
            and isinstance(row[0], str)
            and _is_number(row[1])
            and row[1] > 0
            for row in rows
        )
        and len(set(names)) == len(names),
        stage,
        "mixture",
        "task names, each once, with positive weights; leave out a task "
        "rather than give it weight 0",
    )


def _check_rates(stage):
    rows = stage.rates
    _check(
        rows
        and all(
            len(row) == 2
            and _is_pattern(row[0])
            and (row[1] is None or isinstance(row[1], RateSettings))
            for row in rows
        ),
        stage,
        "rates",
        "pairs of a regular expression and `RateSettings`, or `None` to freeze",
    )
    patterns = [row[0] for row in rows]
    _check(
        len(set(patterns)) == len(patterns),
        stage,
        "rates",
        "a table with each pattern once; the second never matches",
    )
    _check(
        any(row[1] is not None for row in rows),
        stage,
        "rates",
        "a table that trains something; all of it is frozen",
    )
