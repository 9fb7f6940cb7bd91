"""Recipes against each row of the published table."""

import csv
import re
from pathlib import Path

import pytest

import keras_paligemma.training
from keras_paligemma.training import fallback_recipe
from keras_paligemma.training import recipe
from keras_paligemma.training import recipe_names
from keras_paligemma.training import transfer_rate

FOLDER = Path(keras_paligemma.training.__file__).parent
with open(FOLDER / "transfer_recipes.csv", newline="") as lines:
    ROWS = list(csv.DictReader(lines))
COMPONENTS = ("image_encoder", "projector", "embedding", "decoder")


def first_match(table, path):
    return next(rate for pattern, rate in table if re.search(pattern, path))


def test_31_tasks_in_63_settings():
    names = recipe_names()
    assert len(names) == 31
    assert sum(map(len, names.values())) == len(ROWS) == 63
    assert names["tallyqa"] == (224, 448, 896)


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['task']}-{row['resolution']}"
)
def test_each_row(row):
    stage = recipe(row["task"], int(row["resolution"]))
    for column, value in (
        ("resolution", stage.image_size),
        ("weight_decay", stage.decoupled_weight_decay),
        ("epochs", stage.epochs),
        ("examples", stage.examples),
        ("batch_size", stage.batch_size),
        ("label_smoothing", stage.label_smoothing),
        ("dropout", stage.dropout),
        ("frame_stride", stage.frame_stride),
    ):
        assert value == (float(row[column]) if row[column] else None), column
    assert stage.prompt == row["prefix"]
    assert stage.text_length == int(row["text_length"] or stage.text_length)
    if row["num_frames"]:
        assert stage.num_images == int(row["num_frames"])
    assert stage.clip_norm == 1.0 and stage.adam_betas[1] == 0.999
    table = stage.schedules(total_steps=1000)
    frozen = row["image_encoder"] == "frozen"
    for component in COMPONENTS:
        schedule = first_match(table, f"backbone/{component}/kernel")
        if frozen and component in ("image_encoder", "projector"):
            assert schedule is None
        else:
            peak = float(row["learning_rate"])
            assert float(schedule(50)) == pytest.approx(peak, rel=1e-6)
            assert float(schedule(0)) == float(schedule(1000)) == 0
            assert float(schedule(525)) == pytest.approx(peak / 2, rel=1e-6)


@pytest.mark.parametrize(
    "task, length",
    [("activitynet_qa", 64), ("chartqa", 48), ("coco35l", 32)]
    + [("msrvtt_cap", 32), ("msrvtt_qa", 64), ("vatex_cap", 64)],
)
def test_lengths_that_the_table_leaves_out(task, length):
    assert recipe(task, 224).text_length == length


def test_two_images_of_nlvr2():
    assert recipe("nlvr2", 448).num_images == 2


def test_the_published_decay_reaches_kernels_of_two_components():
    pattern = recipe("vqav2", 224).weight_decay_pattern
    for path, decays in (
        ("image_encoder/block_0/attention/query_dense/kernel", True),
        ("backbone/projector/kernel", True),
        ("projector/bias", False),
        ("image_encoder/position_embedding", False),
        ("decoder/block_0/feedforward/up_dense/kernel", False),
        ("embedding/embeddings", False),
    ):
        assert bool(re.search(pattern, path)) == decays, path


@pytest.mark.parametrize(
    "task, variant, rate",
    [
        ("vqav2", "pali_gemma2_3b", 3e-6),
        ("vqav2", "pali_gemma2_10b", 1e-6),
        ("scicap", "pali_gemma2_28b", 3e-5),
        ("rsvqa_lr", "pali_gemma2_10b", 1e-5),
        ("refcoco_seg", "pali_gemma2_10b", 3e-6),
    ],
)
def test_rates_of_paligemma_2(task, variant, rate):
    assert transfer_rate(task, variant) == rate
    stage = recipe(task, 224, variant)
    assert stage.rates[-1][1].peak == rate
    published = recipe(task, 224)
    assert stage.decoupled_weight_decay == published.decoupled_weight_decay


def test_each_task_has_rates_of_paligemma_2():
    for task in recipe_names():
        assert 3e-7 <= transfer_rate(task, "pali_gemma2_3b") <= 3e-5
    with pytest.raises(ValueError, match="task=vatex_cap"):
        transfer_rate("vatex_cap", "pali_gemma2_28b")
    with pytest.raises(ValueError, match="variant=pali_gemma2_9b"):
        recipe("vqav2", 224, "pali_gemma2_9b")


def test_the_simple_recipe():
    stage = fallback_recipe("chartqa", 448)
    assert (stage.epochs, stage.batch_size, stage.text_length) == (10, 256, 48)
    assert stage.dropout == stage.label_smoothing == 0
    assert stage.decoupled_weight_decay == 0
    [(pattern, settings)] = fallback_recipe("gqa", 448).rates
    assert pattern == ".*" and settings.peak == 1e-5
    assert fallback_recipe("vqav2", 896).epochs == 10
    assert fallback_recipe("widgetcap").epochs == 4
    assert fallback_recipe("coco35l").epochs == 10
    assert fallback_recipe("msvd_qa").num_images == 8
    own = fallback_recipe("flowers", 224, epochs=3)
    assert (own.epochs, own.text_length, own.prompt) == (3, 128, None)


def test_unknown_recipes_are_named():
    with pytest.raises(ValueError, match="task=vqa3"):
        recipe("vqa3", 224)
    with pytest.raises(ValueError, match="image_size=896"):
        recipe("vqav2", 896)
