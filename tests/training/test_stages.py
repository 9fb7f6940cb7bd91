"""Stages: the published numbers, and one curve through three of them."""

import dataclasses
import math
import re

import numpy as np
import pytest
from keras import ops

from keras_paligemma.training import STAGE_1
from keras_paligemma.training import STAGE_2_448
from keras_paligemma.training import STAGE_2_896
from keras_paligemma.training import RateSettings
from keras_paligemma.training import Stage
from keras_paligemma.training import stage_for_variant

IMAGE_ENCODER = "image_encoder/block_0/attention/query_dense/kernel"
ENCODERS = (IMAGE_ENCODER, "pali_gemma_backbone/" + IMAGE_ENCODER)
OTHERS = (
    "projector/kernel",
    "embedding/embeddings",
    "decoder/final_norm/scale",
)


def schedule_of(stage, path, **arguments):
    """The schedule of the first pattern that is found in `path`."""
    for pattern, schedule in stage.schedules(**arguments):
        if re.search(pattern, path):
            assert re.fullmatch(pattern, path)
            return schedule
    raise KeyError(path)


def small(**changes):
    settings = {
        "image_size": 112,
        "text_length": 16,
        "mixture": {"caption": 1.0},
        "rates": ((".*", RateSettings("rsqrt", 1e-3, warmup=4)),),
        "batch_size": 8,
        "examples": 80,
    }
    return Stage("small", **{**settings, **changes})


def test_the_published_numbers():
    published = [
        (stage.image_size, stage.text_length, stage.examples)
        for stage in (STAGE_1, STAGE_2_448, STAGE_2_896)
    ]
    assert published == [
        (224, 128, 1_000_000_000),
        (448, 512, 50_000_000),
        (896, 512, 10_000_000),
    ]
    for stage in (STAGE_1, STAGE_2_448, STAGE_2_896):
        assert {settings.peak for _, settings in stage.rates} == {2e-5}
    one, two = dict(STAGE_1.mixture), dict(STAGE_2_448.mixture)
    for task in ("ocr", "detect", "segment"):
        share = one[task] / sum(one.values())
        assert two[task] / sum(two.values()) > share


@pytest.mark.parametrize("batch_sizes", [(2048, 1024, 512), (256, 1000, 256)])
def test_one_curve_through_three_stages(batch_sizes):
    # Counted in examples, with 10,000 steps of 2,048 as the timescale.
    timescale, warmup, slow = 10_000 * 2048, 5_000 * 2048, 50_000 * 2048
    stages = (STAGE_1, STAGE_2_448, STAGE_2_896)
    seen, last = 0, None
    for stage, batch_size in zip(stages, batch_sizes, strict=True):
        stage = dataclasses.replace(stage, batch_size=batch_size)
        total = stage.total_steps()
        steps = np.unique(np.linspace(0, total, 201).astype("int64"))
        examples = seen + steps * batch_size
        curve = 2e-5 / np.sqrt(1 + np.maximum(examples - warmup, 0) / timescale)
        for path in (*ENCODERS, *OTHERS):
            found = ops.convert_to_numpy(schedule_of(stage, path)(steps))
            begun = warmup
            expected = curve
            if path in ENCODERS:
                begun = slow
                joined = 2e-5 / math.sqrt(1 + (slow - warmup) / timescale)
                expected = np.where(examples < slow, joined, curve)
            expected = expected * np.minimum(1, examples / begun)
            np.testing.assert_allclose(found, expected, rtol=3e-6)
            if last is not None:
                assert float(found[0]) == pytest.approx(last, rel=3e-6)
        # All components stand on one curve when the stage ends.
        last = float(found[-1])
        seen += total * batch_size


def test_the_image_encoder_warms_up_slowly():
    steps = STAGE_1.total_steps()
    early = steps // 50
    slow = float(schedule_of(STAGE_1, IMAGE_ENCODER)(early))
    assert 0 < slow < 0.2 * float(schedule_of(STAGE_1, OTHERS[0])(early))


@pytest.mark.parametrize(
    "variant, peak",
    [
        ("pali_gemma_3b", 2e-5),
        ("pali_gemma2_3b", 1e-5),
        ("pali_gemma2_10b", 5e-6),
        ("pali_gemma2_28b", 5e-6),
    ],
)
def test_published_peaks_by_size(variant, peak):
    for _, settings in stage_for_variant(STAGE_1, variant).rates:
        assert settings.peak == pytest.approx(peak, rel=1e-12)


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="variant=pali_gemma_7b"):
        stage_for_variant(STAGE_1, "pali_gemma_7b")


def test_lengths_and_tables():
    frozen = r"^(.*/)?projector/.*"
    cosine = RateSettings("cosine", 1e-3, warmup="50%")
    stage = small(
        examples=None, epochs=2.5, rates=((frozen, None), (".*", cosine))
    )
    assert stage.total_steps(examples_per_epoch=32) == 10
    table = stage.schedules(examples_per_epoch=32)
    assert table[0] == (frozen, None)
    assert [pattern for pattern, _ in table] == [frozen, ".*"]
    assert float(table[1][1](5)) == pytest.approx(1e-3)
    assert stage.schedules(total_steps=100)[1][1].total_steps == 100
    assert stage.scaled(0.5).rates[0] == (frozen, None)
    with pytest.raises(ValueError, match="examples_per_epoch"):
        stage.total_steps()
    assert hash(stage) == hash(dataclasses.replace(stage))


def test_going_on_from_what_cannot_go_on_is_refused():
    assert small().continued(epochs=1).examples is None
    for settings, why in (
        (RateSettings("cosine", 1e-3), "only|Only"),
        (RateSettings("rsqrt", 1e-3, cooldown=2), "cooldown"),
        (RateSettings("constant", 1e-3, warmup=11), "fit in the run"),
    ):
        with pytest.raises(ValueError, match=why):
            small(rates=((".*", settings),)).continued(examples=8)


def test_a_schedule_longer_than_the_stage_names_the_stage():
    settings = RateSettings("rsqrt", 1e-3, warmup=11)
    with pytest.raises(ValueError, match="Stage small, rates of decoder"):
        small(rates=(("decoder", settings),)).schedules()


@pytest.mark.parametrize(
    "name, value",
    [
        ("image_size", 0),
        ("text_length", 1.5),
        ("batch_size", True),
        ("examples", -1),
        ("examples", None),
        ("epochs", 1),
        ("mixture", {}),
        ("mixture", {"caption": 0.0}),
        ("mixture", (("a", 1), ("a", 2))),
        ("rates", ()),
        ("rates", ((".*", None),)),
        ("rates", (("(", None),)),
        ("rates", ((".*", 1e-3),)),
        ("rates", ((".*", RateSettings("constant", 1.0)), (".*", None))),
        ("label_smoothing", 1.0),
        ("dropout", -0.1),
        ("dtype", "float99"),
        ("decoupled_weight_decay", -1e-6),
        ("weight_decay_pattern", "["),
        ("clip_norm", 0),
        ("optimizer", "sgd"),
        ("adam_betas", (0.9,)),
        ("num_images", 0),
        ("frame_stride", 0),
    ],
)
def test_bad_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}`"):
        small(**{name: value})


@pytest.mark.parametrize(
    "bad",
    [
        {"shape": "stair"},
        {"peak": 0},
        {"warmup": "soon"},
        {"end": 1e-4},
        {"timescale": 5},
        {"shape": "linear", "end": 1.0},
    ],
)
def test_bad_rates_are_refused(bad):
    with pytest.raises(ValueError, match="Received"):
        RateSettings(**{"shape": "cosine", "peak": 1e-3, **bad})
