"""LoRA on named components, and files of its factors."""

import os

import numpy as np
import pytest

from tests.models import recorded_gradients
from tests.models import tiny_models
from tests.models.recorded_gradients import values_of

generator = np.random.default_rng(0)


def adapted_layers(backbone):
    return {
        weight.path.rpartition("/")[0]
        for weight in backbone.weights
        if weight.name.startswith("lora_")
    }


def draw_factors(backbone):
    for weight in backbone.weights:
        if weight.name.startswith("lora_"):
            weight.assign(generator.normal(scale=0.3, size=weight.shape))


QUERIES = {f"decoder/block_{i}/attention/query_dense" for i in range(2)}
VALUES = {f"decoder/block_{i}/attention/value_dense" for i in range(2)}
OF_IMAGES = {
    f"image_encoder/block_0/attention/{name}_dense"
    for name in ("query", "value")
}


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, QUERIES | VALUES | OF_IMAGES),
        ({"components": ["decoder"]}, QUERIES | VALUES),
        ({"components": ["projector"]}, {"projector"}),
        (
            {
                "components": ["decoder", "embedding"],
                "target_layer_names": ["query_dense"],
            },
            QUERIES | {"embedding"},
        ),
        ({"target_layer_names": ["projector"]}, {"projector"}),
    ],
)
def test_only_what_is_named_is_trained(options, expected):
    backbone = tiny_models.tiny_backbone()
    backbone.enable_lora(3, **options)
    assert adapted_layers(backbone) == expected
    trainable = backbone.trainable_weights
    assert {w.name[:5] for w in trainable} == {"lora_"}
    assert len(trainable) == 2 * len(expected)


def test_all_dense_layers_of_the_decoder():
    backbone = tiny_models.tiny_backbone()
    backbone.enable_lora(2, "all", components=["decoder"])
    kernels = {
        w.path.rpartition("/")[0]
        for w in backbone.weights
        if w.path.startswith("decoder") and w.name == "kernel"
    }
    assert len(kernels) == 14 and adapted_layers(backbone) == kernels


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"rank": 0}, "rank=0"),
        ({"rank": 2.5}, "rank=2.5"),
        ({"rank": True}, "rank=True"),
        ({"rank": 2, "alpha": 0}, "alpha=0"),
        ({"rank": 2, "components": "decoder"}, "must be a list"),
        ({"rank": 2, "components": []}, "components=\\[\\]"),
        ({"rank": 2, "components": ["decoder", "vision"]}, "'vision'"),
        ({"rank": 2, "target_layer_names": ["query"]}, "'query'"),
        (
            {
                "rank": 2,
                "components": ["projector"],
                "target_layer_names": ["query_dense"],
            },
            "'query_dense'",
        ),
    ],
)
def test_bad_arguments_change_nothing(backbone, arguments, text):
    before = [w.path for w in backbone.trainable_weights]
    with pytest.raises(ValueError, match=text):
        backbone.enable_lora(**arguments)
    assert [w.path for w in backbone.trainable_weights] == before


def test_it_is_enabled_once():
    backbone = tiny_models.tiny_backbone()
    backbone.enable_lora(2, components=["decoder"])
    with pytest.raises(ValueError, match="enabled once"):
        backbone.enable_lora(2, components=["projector"])


def test_unsupported_quantization_is_named():
    backbone = tiny_models.tiny_backbone()
    backbone.projector.quantize("float8")
    with pytest.raises(ValueError, match="projector to 'float8'"):
        backbone.enable_lora(2, components=["decoder", "projector"])
    assert not adapted_layers(backbone)


def test_factors_go_through_a_file(prompts, tmp_path):
    backbone = tiny_models.tiny_backbone()
    backbone.enable_lora(
        3, components=["decoder", "projector", "embedding"], alpha=6
    )
    draw_factors(backbone)
    path = tmp_path / "factors.lora.h5"
    backbone.save_lora_weights(path)
    assert os.listdir(tmp_path) == ["factors.lora.h5"]
    # A base without LoRA gets it where the file says.
    loaded = tiny_models.tiny_backbone()
    loaded.load_lora_weights(path)
    expected = values_of(backbone.weights)
    for weight_path, value in values_of(loaded.weights).items():
        np.testing.assert_array_equal(value, expected.pop(weight_path))
    assert not expected
    assert {w.path for w in loaded.trainable_weights} == {
        w.path for w in backbone.trainable_weights
    }
    np.testing.assert_array_equal(
        tiny_models.logits_of(tiny_models.tiny_task(loaded), prompts),
        tiny_models.logits_of(tiny_models.tiny_task(backbone), prompts),
    )


def test_files_of_other_layers_are_refused(tmp_path):
    backbone = tiny_models.tiny_backbone()
    path = str(tmp_path / "factors.lora.h5")
    with pytest.raises(ValueError, match="enable_lora"):
        backbone.save_lora_weights(path)
    backbone.enable_lora(2, components=["decoder"])
    with pytest.raises(ValueError, match=".lora.h5"):
        backbone.save_lora_weights(str(tmp_path / "factors.h5"))
    backbone.save_lora_weights(path)
    for rank, component, text in (
        (3, "decoder", "rank"),
        (2, "projector", "without \\['projector'\\]"),
    ):
        other = tiny_models.tiny_backbone()
        other.enable_lora(rank, components=[component])
        before = values_of(other.weights)
        with pytest.raises(ValueError, match=text):
            other.load_lora_weights(path)
        for name, value in values_of(other.weights).items():
            np.testing.assert_array_equal(value, before[name])
    smaller = tiny_models.tiny_backbone(num_layers=1)
    with pytest.raises(ValueError, match="block_1"):
        smaller.load_lora_weights(path)


def test_rematerialised_gradients_of_lora(prompts):
    """Of the first block too, to which no gradient leads from the input."""
    found = []
    for remat in (False, True):
        backbone = tiny_models.tiny_backbone(remat=remat)
        backbone.enable_lora(2, components=["decoder", "image_encoder"])
        factors = np.random.default_rng(1)
        for weight in backbone.trainable_weights:
            weight.assign(factors.normal(scale=0.3, size=weight.shape))
        task = tiny_models.tiny_task(
            backbone, optimizer=recorded_gradients.GradientRecorder()
        )
        found.append(
            recorded_gradients.loss_and_gradients(
                task,
                prompts,
                np.roll(prompts["token_ids"], -1, axis=1),
                prompts["padding_mask"].astype("float32"),
            )
        )
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    errors = recorded_gradients.relative_errors(found[1][1], found[0][1])
    assert max(errors.values()) < 1e-4
    assert all(np.abs(g).max() > 0 for g in found[0][1].values())
