"""Dtype policies, LoRA and int8."""

import keras
import numpy as np
import pytest

import keras_paligemma
from tests.models import tiny_models
from tests.models.tiny_models import logits_of

# Keras' own, on PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:.*The use of `x.T`:UserWarning")


def copy_of(backbone, **changes):
    config = {**backbone.get_config(), **changes}
    copy = keras_paligemma.PaliGemmaBackbone.from_config(config)
    for mine, theirs in zip(copy.weights, backbone.weights, strict=True):
        # Through NumPy: JAX would share the array, and training frees it.
        mine.assign(np.array(keras.ops.convert_to_numpy(theirs)))
    return copy


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "mixed_bfloat16", "mixed_float16"]
)
def test_policies(backbone, task, prompts, dtype):
    other = tiny_models.tiny_task(copy_of(backbone, dtype=dtype))
    stored = "bfloat16" if dtype == "bfloat16" else "float32"
    assert {w.dtype for w in other.backbone.weights} == {stored}
    assert keras.backend.standardize_dtype(other(prompts).dtype) == "float32"
    logits, expected = logits_of(other, prompts), logits_of(task, prompts)
    assert logits.dtype == np.float32
    error = np.abs(logits - expected).mean() / np.abs(expected).mean()
    assert error < {"float32": 1e-6, "mixed_float16": 0.02}.get(dtype, 0.1)


def test_decoding_in_mixed_precision_scores_as_a_full_pass(backbone, prompts):
    # Norms outside a model's call must not lose their float32 scales.
    mixed = tiny_models.tiny_task(copy_of(backbone, dtype="mixed_bfloat16"))
    outputs, scores = mixed.generate(
        prompts, stop_token_ids=None, return_scores=True
    )
    answers = tiny_models.answers_of(outputs, prompts)
    _, expected = tiny_models.full_pass(mixed, prompts, answers)
    for mine, theirs in zip(scores, expected, strict=True):
        assert np.abs(mine - theirs).mean() < 0.1


def test_lora_trains_low_rank_additions_alone(backbone, prompts, tmp_path):
    task = tiny_models.tiny_task(copy_of(backbone))
    before = logits_of(task, prompts)
    task.backbone.enable_lora(2)
    adapted = tiny_models.tiny_task(task.backbone)
    np.testing.assert_allclose(logits_of(adapted, prompts), before, atol=1e-4)
    trainable = {w.name for w in adapted.trainable_weights}
    assert any(name.startswith("lora_") for name in trainable)
    assert "kernel" not in trainable
    kernels = {
        w.path: keras.ops.convert_to_numpy(w)
        for w in adapted.weights
        if w.name == "kernel"
    }
    adapted.compile(keras.optimizers.SGD(1.0))
    targets = np.roll(prompts["token_ids"], -1, axis=1)
    adapted.fit(
        prompts,
        targets,
        sample_weight=prompts["padding_mask"].astype("float32"),
        batch_size=3,
        epochs=2,
        verbose=0,
    )
    for weight in adapted.weights:
        if weight.path in kernels:
            np.testing.assert_array_equal(
                keras.ops.convert_to_numpy(weight), kernels[weight.path]
            )
    trained = logits_of(adapted, prompts)
    assert np.abs(trained - before).max() > 0.01
    # Saved with the additions merged in.
    adapted.backbone.save_to_preset(str(tmp_path / "preset"))
    merged = keras_paligemma.PaliGemmaBackbone.from_preset(
        str(tmp_path / "preset")
    )
    assert len(merged.weights) == len(backbone.weights)
    np.testing.assert_allclose(
        logits_of(tiny_models.tiny_task(merged), prompts), trained, atol=1e-3
    )


def test_int8_generates_and_is_saved(backbone, task, prompts, tmp_path):
    quantized = tiny_models.tiny_task(copy_of(backbone))
    quantized.quantize("int8")
    kinds = {str(w.dtype) for w in quantized.backbone.weights}
    assert "int8" in kinds
    logits, expected = logits_of(quantized, prompts), logits_of(task, prompts)
    assert logits.dtype == np.float32
    error = np.abs(logits - expected).mean() / np.abs(expected).mean()
    assert 0 < error < 0.3
    outputs = quantized.generate(prompts, stop_token_ids=None)
    quantized.save_to_preset(str(tmp_path / "preset"))
    loaded = keras_paligemma.PaliGemmaCausalLM.from_preset(
        str(tmp_path / "preset"), preprocessor=None
    )
    assert "int8" in {str(w.dtype) for w in loaded.backbone.weights}
    np.testing.assert_array_equal(
        loaded.generate(prompts, stop_token_ids=None)["token_ids"],
        outputs["token_ids"],
    )
