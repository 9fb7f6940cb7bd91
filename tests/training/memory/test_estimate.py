"""The estimate's logic, on published sizes, without a model."""

import pytest

from keras_paligemma import cli
from keras_paligemma.checkpoints import published_arguments
from keras_paligemma.training.memory import estimate_memory
from keras_paligemma.training.memory import largest_batch
from keras_paligemma.training.memory.settings import MemorySettings

ARGUMENTS = published_arguments("pali_gemma_3b_224")
PARAMETERS = 2_923_335_408


def test_full_training_takes_sixteen_bytes_a_parameter():
    estimate = estimate_memory(ARGUMENTS)
    assert estimate.moment == "update"
    assert estimate.gradients == 4 * PARAMETERS
    assert estimate.optimizer == 8 * PARAMETERS
    assert estimate.total == pytest.approx(16 * PARAMETERS, rel=1e-3)
    assert estimate.total == sum(estimate.parts.values())


@pytest.mark.parametrize(
    "less, more",
    [
        ({"remat": True}, {}),
        ({"fused_attention": True}, {}),
        ({}, {"batch_size": 16}),
        ({}, {"text_length": 512}),
        ({}, {"num_images": 2}),
        ({}, {"chunked_loss": False}),
        ({"dtype": "bfloat16"}, {}),
        ({"optimizer": "adafactor"}, {}),
        ({"frozen": ("image_encoder",)}, {}),
        ({"lora_rank": 8}, {"frozen": ("image_encoder",)}),
        ({"lora_rank": 8}, {"lora_rank": 64}),
        ({"lora_rank": 8, "quantize": "int8", "batch_size": 1}, {}),
        ({}, {"gradient_accumulation": 4}),
    ],
    ids=str,
)
def test_what_saves_memory_does(less, more):
    common = {"batch_size": 8}
    small = estimate_memory(ARGUMENTS, **{**common, **less}).total
    large = estimate_memory(ARGUMENTS, **{**common, **more}).total
    assert small < large


def test_nothing_is_kept_before_what_is_trained():
    frozen = ("image_encoder", "projector", "embedding")
    estimate = estimate_memory(ARGUMENTS, batch_size=8, frozen=frozen)
    every = estimate_memory(ARGUMENTS, batch_size=8, frozen=("embedding",))
    assert estimate.activations < every.activations


def test_largest_batch_is_the_last_that_fits():
    settings = {"dtype": "bfloat16", "lora_rank": 8, "remat": True}
    batch = largest_batch(ARGUMENTS, 24, **settings)
    assert batch > 1
    for size, fits in ((batch, True), (batch + 1, False)):
        estimate = estimate_memory(ARGUMENTS, batch_size=size, **settings)
        assert estimate.fits(24) is fits
    assert largest_batch(ARGUMENTS, 16) == 0
    assert largest_batch(ARGUMENTS, 80, limit=4, **settings) == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"dtype": "int8"},
        {"optimizer": "lion"},
        {"quantize": "int8"},
        {"batch_size": 0},
        {"lora_rank": 0},
        {"frozen": ("encoder",)},
        {"frozen": ("image_encoder", "projector", "embedding", "decoder")},
    ],
    ids=str,
)
def test_mistakes_are_named(settings):
    with pytest.raises(ValueError, match="Received: .*="):
        MemorySettings(**settings)


def test_the_command_prints_parts_and_cards(capsys):
    words = "memory --variant pali_gemma2_10b --dtype bfloat16 --lora-rank 8"
    assert cli.main([*words.split(), "--remat"]) == 0
    printed = capsys.readouterr().out
    for name in ("weights", "activations", "all", "fits in"):
        assert any(line.startswith(name) for line in printed.splitlines())
    assert printed.endswith("24 GB, 40 GB, 80 GB\n")


def test_the_table_has_a_row_for_each_way(capsys):
    assert cli.main(["memory", "--table", "--image-size", "224"]) == 0
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == 6
    cells = {r.split("|")[1].strip(): r.split("|")[2:-1] for r in rows}
    # As the settings are listed, later ones fit where earlier ones do.
    assert [c.strip() for c in cells["all of it, float32, Adam"]][:3] == [
        "-"
    ] * 3
    for row in cells.values():
        batches = [0 if c.strip() == "-" else int(c) for c in row]
        assert batches == sorted(batches)
