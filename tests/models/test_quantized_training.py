"""QLoRA: training factors beside an int8 or int4 base."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_paligemma
from keras_paligemma.layers import TransposedDense
from keras_paligemma.models.export import sublayers
from tests import tiny_preset
from tests.models import recorded_gradients
from tests.models import tiny_models

# Keras' own: layers that have nothing to quantize, and PyTorch's transposes.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*The use of `x.T`:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have a `quantize` method"),
]

COMPONENTS = ["image_encoder", "projector", "embedding", "decoder"]
CONFIGS = {
    # Activations stay float, so that a float model computes the same.
    "int8": keras.quantizers.Int8QuantizationConfig(activation_quantizer=None),
    "int4": keras.quantizers.Int4QuantizationConfig(
        activation_quantizer=None, block_size=16
    ),
}


def batch():
    inputs = tiny_models.prompt_inputs()
    targets = np.roll(inputs["token_ids"], -1, axis=1)
    weights = inputs["padding_mask"].astype("float32")
    return inputs, targets, weights


def dequantized_copy(backbone):
    """A float model of what the quantized layers compute."""
    copy = tiny_models.tiny_backbone()
    layers = {x.path: x for x in sublayers(copy) if x.path is not None}
    for layer in sublayers(backbone):
        if not layer.quantization_mode:
            continue
        target = layers[layer.path]
        if isinstance(layer, TransposedDense):
            size = target.kernel.shape[1]
            rows = layer(ops.eye(size)[None])[0] - layer(
                ops.zeros((1, 1, size))
            )
            target.kernel.assign(ops.transpose(rows[0]))
        else:
            target.embeddings.assign(layer(ops.arange(layer.input_dim)))
    return copy


def add_lora(backbone, components=COMPONENTS):
    backbone.enable_lora(2, "all", components=components, alpha=3)
    generator = np.random.default_rng(2)
    for weight in sorted(backbone.trainable_weights, key=lambda w: w.path):
        weight.assign(generator.normal(scale=0.2, size=weight.shape))


def bytes_of(weights):
    return sum(ops.convert_to_numpy(w).nbytes for w in weights)


@pytest.fixture(scope="module", params=["int8", "int4"])
def quantized(request):
    """A backbone whose weights are quantized, with LoRA everywhere."""
    backbone = tiny_models.tiny_backbone()
    size = bytes_of(backbone.weights)
    backbone.quantize(request.param, config=CONFIGS[request.param])
    share = bytes_of(backbone.weights) / size
    reference = dequantized_copy(backbone)
    add_lora(backbone)
    add_lora(reference)
    return backbone, reference, share, request.param


def test_loss_and_gradients_equal_a_dequantized_models(quantized):
    backbone, reference, share, mode = quantized
    # Tiny layers pay most for their scales.
    assert share < {"int8": 0.35, "int4": 0.35}[mode]
    base = {w.path: w for w in backbone.weights if not w.trainable}
    before = recorded_gradients.values_of(base.values())
    results = []
    for model in (backbone, reference):
        task = tiny_models.tiny_task(
            model, optimizer=recorded_gradients.GradientRecorder()
        )
        evaluated = task.test_on_batch(*batch(), return_dict=True)["loss"]
        loss, gradients = recorded_gradients.loss_and_gradients(task, *batch())
        assert loss == pytest.approx(float(evaluated), rel=1e-5)
        results.append((loss, gradients))
    (ours, gradients), (theirs, expected) = results
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert {path.rpartition("/")[2] for path in gradients} == {
        "lora_kernel_a",
        "lora_kernel_b",
        "lora_embeddings_a",
        "lora_embeddings_b",
    }
    errors = recorded_gradients.relative_errors(gradients, expected)
    assert max(errors.values()) < 1e-3, max(errors, key=errors.get)
    assert all(np.abs(g).max() > 0 for g in gradients.values())
    after = recorded_gradients.values_of(base.values())
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)


def test_the_whole_way_with_a_frozen_table(tmp_path):
    """Keras' defaults: int8 with quantized activations, saved and merged."""
    backbone = tiny_models.tiny_backbone()
    task = tiny_models.tiny_task(backbone)
    task.quantize("int8")
    backbone.enable_lora(2, "all", components=["decoder", "projector"])
    task.compile(keras.optimizers.Adam(1e-2))
    base = {w.path: w for w in task.weights if not w.trainable}
    before = recorded_gradients.values_of(base.values())
    inputs, targets, weights = batch()
    history = task.fit(
        inputs,
        targets,
        sample_weight=weights,
        batch_size=3,
        epochs=6,
        verbose=0,
    )
    losses = history.history["loss"]
    assert losses[-1] < losses[0] - 0.3
    after = recorded_gradients.values_of(base.values())
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)
    factors = str(tmp_path / "factors.lora.h5")
    backbone.save_lora_weights(factors)
    other = tiny_models.tiny_backbone()
    other.quantize("int8")
    other.load_lora_weights(factors)
    trained = tiny_models.logits_of(task, inputs)
    np.testing.assert_allclose(
        tiny_models.logits_of(tiny_models.tiny_task(other), inputs),
        trained,
        atol=1e-4,
    )
    # A saved model has the factors merged, and its int8 rounded once more.
    task.save_to_preset(str(tmp_path / "preset"))
    merged = keras_paligemma.PaliGemmaCausalLM.from_preset(
        str(tmp_path / "preset"), preprocessor=None
    )
    logits = tiny_models.logits_of(merged, inputs)
    assert np.abs(logits - trained).mean() < 0.2 * np.abs(trained).mean()


def test_int4_rows_are_looked_up_alone_and_in_the_table():
    """Each way to read the table, against unpacking it by hand."""
    for config in (
        None,
        keras.quantizers.Int4QuantizationConfig(block_size=-1),
    ):
        layer = keras_paligemma.layers.TokenEmbedding(20, 12)
        layer.build()
        values = np.random.default_rng(0).normal(size=(20, 12))
        layer.embeddings.assign(values)
        layer.quantize("int4", config=config)
        table = ops.convert_to_numpy(layer.table())
        assert np.abs(table - values).max() < np.abs(values).max() / 6
        rows = ops.convert_to_numpy(layer(np.array([[3, 0], [19, 3]])))
        np.testing.assert_array_equal(rows, table[[[3, 0], [19, 3]]])
        hidden = np.random.default_rng(1).normal(size=(1, 2, 12))
        hidden = hidden.astype("float32")
        np.testing.assert_allclose(
            ops.convert_to_numpy(layer(hidden, reverse=True)),
            hidden @ table.T,
            atol=1e-5,
        )


def test_logits_of_a_quantized_table_have_its_lora():
    layer = keras_paligemma.layers.TokenEmbedding(20, 12, logit_soft_cap=5.0)
    layer.build()
    layer.quantize("int8")
    layer.enable_lora(2)
    layer.lora_embeddings_b.assign(np.ones((2, 12)))
    hidden = np.random.default_rng(1).normal(size=(1, 2, 12)).astype("float32")
    table = ops.convert_to_numpy(layer.table())
    expected = 5.0 * np.tanh(hidden @ table.T / 5.0)
    logits = ops.convert_to_numpy(layer(hidden, reverse=True))
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    rows = ops.convert_to_numpy(layer(np.array([[7]])))[0, 0]
    np.testing.assert_allclose(rows, table[7], atol=1e-6)


def test_what_has_not_run_or_nothing_to_quantize_is_passed_over(tmp_path):
    tiny_preset.save_images(tmp_path)
    task = tiny_preset.tiny_model()
    question = {
        "images": str(tmp_path / "cat.png"),
        "prompts": "caption en",
    }
    # The functions compiled for float weights are not used again.
    task.generate(question, max_length=12)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task.quantize("int8", filters="dense|projector")
    assert not [w for w in caught if "quantize" in str(w.message)]
    modes = {x.name: x.quantization_mode for x in sublayers(task.backbone)}
    assert modes["projector"] == modes["query_dense"] == "int8"
    assert modes[task.backbone.token_embedding.name] is None
    answer = task.generate(question, max_length=12)
    fresh = keras_paligemma.PaliGemmaCausalLM(task.preprocessor, task.backbone)
    fresh.compile(sampler="greedy")
    assert fresh.generate(question, max_length=12) == answer
