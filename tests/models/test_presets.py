"""Saving and loading: `.keras` files and presets, backbone and task."""

from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest

import keras_paligemma
from keras_paligemma.checkpoints import LazyArray
from keras_paligemma.checkpoints import resized_position_embedding
from keras_paligemma.models.presets import staged
from tests.models import tiny_models


@pytest.fixture(scope="module")
def preset(text_task, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "tiny"
    text_task.save_to_preset(str(path))
    return str(path)


def values(model):
    return {
        weight.path: keras.ops.convert_to_numpy(weight)
        for weight in model.weights
    }


def check_equal(model, other):
    mine, theirs = values(model), values(other)
    assert mine.keys() == theirs.keys() and mine
    for path, value in mine.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)


def test_a_keras_file(backbone, task, prompts, tmp_path):
    compiled = tiny_models.tiny_task(
        backbone,
        optimizer=keras.optimizers.SGD(0.125),
        label_smoothing=0.25,
        sampler=keras_hub.samplers.TopKSampler(k=7),
    )
    compiled.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, keras_paligemma.PaliGemmaCausalLM)
    check_equal(loaded.backbone, backbone)
    np.testing.assert_allclose(
        tiny_models.logits_of(loaded, prompts),
        tiny_models.logits_of(task, prompts),
        atol=1e-6,
    )
    # It is compiled as it was.
    assert float(loaded.optimizer.learning_rate) == 0.125
    assert loaded.loss.label_smoothing == 0.25
    assert type(loaded.sampler) is keras_hub.samplers.TopKSampler
    assert loaded.sampler.k == 7


def test_a_backbones_preset(backbone, tmp_path):
    backbone.save_to_preset(str(tmp_path / "preset"))
    for cls in (keras_paligemma.PaliGemmaBackbone, keras_hub.models.Backbone):
        loaded = cls.from_preset(str(tmp_path / "preset"))
        assert isinstance(loaded, keras_paligemma.PaliGemmaBackbone)
        check_equal(loaded, backbone)


@pytest.mark.parametrize(
    "cls", [keras_paligemma.PaliGemmaCausalLM, keras_hub.models.CausalLM]
)
def test_a_tasks_preset(cls, preset, text_task):
    loaded = cls.from_preset(preset)
    assert isinstance(loaded, keras_paligemma.PaliGemmaCausalLM)
    check_equal(loaded.backbone, text_task.backbone)
    mine, theirs = loaded.preprocessor, text_task.preprocessor
    assert mine.sequence_length == theirs.sequence_length == 32
    assert mine.tokenizer.proto == theirs.tokenizer.proto
    assert mine.image_converter.image_size == (28, 28)


def test_weights_may_be_left_out(preset, text_task):
    loaded = keras_paligemma.PaliGemmaCausalLM.from_preset(
        preset, load_weights=False
    )
    path = "decoder/block_0/attention/query_dense/kernel"
    mine, theirs = values(loaded.backbone), values(text_task.backbone)
    assert mine.keys() == theirs.keys()
    assert (mine[path] != theirs[path]).mean() > 0.9


def test_options_of_preprocessor_and_backbone(preset):
    load = keras_paligemma.PaliGemmaCausalLM.from_preset
    loaded = load(preset, sequence_length=16, dropout=0.1, dtype="bfloat16")
    assert loaded.preprocessor.sequence_length == 16
    assert loaded.backbone.dropout == 0.1
    assert loaded.backbone.projector.kernel.dtype == "bfloat16"
    assert load(preset, preprocessor=None).preprocessor is None


def test_image_size_resizes_the_positions(preset, text_task):
    loaded = keras_paligemma.PaliGemmaCausalLM.from_preset(
        preset, image_size=56
    )
    assert loaded.backbone.image_size == 56
    assert loaded.backbone.image_sequence_length == 16
    assert loaded.preprocessor.image_converter.image_size == (56, 56)
    mine, theirs = values(loaded.backbone), values(text_task.backbone)
    path = "image_encoder/position_embedding"
    table = LazyArray.from_numpy(theirs.pop(path), "positions")
    np.testing.assert_array_equal(
        mine.pop(path), resized_position_embedding(table, 4).read()
    )
    for name, value in theirs.items():
        np.testing.assert_array_equal(mine[name], value)


def test_a_copy_for_another_size_leaves_the_first(backbone):
    before = values(backbone)
    copy = backbone.with_image_size(42)
    assert (copy.image_size, backbone.image_size) == (42, 28)
    assert copy.image_encoder.position_embedding.shape == (9, 16)
    after = values(backbone)
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value)


def test_a_failed_save_leaves_nothing(backbone, tmp_path, monkeypatch):
    target = tmp_path / "presets" / "mine"
    target.mkdir(parents=True)
    (target / "notes.txt").write_text("keep me")

    def fail(self, *args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(keras.Model, "save_weights", fail)
    monkeypatch.setattr(type(backbone), "save_weights", fail)
    with pytest.raises(OSError, match="disk full"):
        backbone.save_to_preset(str(target))
    assert [p.name for p in target.iterdir()] == ["notes.txt"]
    assert [p.name for p in target.parent.iterdir()] == ["mine"]


def test_a_save_keeps_other_files_and_replaces_its_own(backbone, tmp_path):
    (tmp_path / "notes.txt").write_text("keep me")
    (tmp_path / "config.json").write_text("old")
    backbone.save_to_preset(str(tmp_path))
    assert (tmp_path / "notes.txt").read_text() == "keep me"
    assert (tmp_path / "config.json").read_text() != "old"
    assert not list(tmp_path.parent.glob(".saving-*"))


def test_staged_moves_folders_too(tmp_path):
    with staged(str(tmp_path / "new")) as staging:
        folder = Path(staging) / "assets" / "tokenizer"
        folder.mkdir(parents=True)
        (folder / "vocabulary").write_text("a")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new/assets/tokenizer/vocabulary").read_text() == "a"
