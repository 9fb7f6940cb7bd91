"""The estimate against what models really have, and what XLA allots."""

import math

import keras
import numpy as np
import pytest

from keras_paligemma.training.memory import MemorySettings
from keras_paligemma.training.memory import estimate_memory
from keras_paligemma.training.memory.activations import block_activations
from keras_paligemma.training.memory.variables import variable_groups
from tests.training.memory import sizes

pytestmark = pytest.mark.filterwarnings("ignore:.*`quantize` method")
# How far the estimate of the whole may be from XLA's count.
TOLERANCE = 0.15
TINY = {
    **sizes.SMALL,
    "num_layers": 1,
    "hidden_dim": 64,
    "intermediate_dim": 128,
    "vit_num_layers": 1,
}


@pytest.mark.parametrize(
    "settings",
    [
        {"gradient_accumulation": 2},
        {"dtype": "bfloat16", "optimizer": "adafactor"},
        {"optimizer": "muon"},
        {"dtype": "mixed_bfloat16", "frozen": ("decoder", "projector")},
        {"dtype": "bfloat16", "lora_rank": 4},
        {"lora_rank": 4, "quantize": "int8"},
        {"dtype": "bfloat16", "lora_rank": 4, "quantize": "int4"},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_variables_are_counted_to_the_byte(settings):
    model = sizes.ready_model(TINY, MemorySettings(**settings))
    estimate = estimate_memory(TINY, **settings, batch_size=1)
    inputs = 4 * (3 * TINY["image_size"] ** 2 + 5 * 128)
    assert estimate.weights - inputs == sizes.count_bytes(model.weights)
    slots = sizes.count_bytes(model.optimizer.variables)
    # Factored slots of few rows are below what `count_bytes` looks at.
    assert estimate.optimizer == pytest.approx(slots, rel=1e-3)


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="gradients are tensors there"
)
def test_gradients_are_tensors_of_so_many_bytes():
    settings = MemorySettings(frozen=("embedding",))
    model = sizes.ready_model(TINY, settings)
    model.train_on_batch(*batch(TINY, 1, 8))
    held = sum(v.value.grad.nbytes for v in model.trainable_variables)
    groups = variable_groups(TINY, settings).values()
    assert sum(group.gradients for group in groups) == held


def batch(arguments, rows, length):
    size = arguments["image_size"]
    ones = np.ones((rows, length), "int32")
    x = {
        "images": np.zeros((rows, size, size, 3), "float32"),
        "token_ids": ones,
        "padding_mask": ones,
        "response_mask": ones,
    }
    return x, ones, ones.astype("float32")


def allotted(arguments, rows, length, **settings):
    """Bytes that XLA allots for the model's own training step."""
    import jax

    model = sizes.ready_model(arguments, MemorySettings(**settings))
    state = [
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    ]
    step = jax.jit(model.train_step, donate_argnums=0)
    analysis = (
        step.lower(tuple(state), batch(arguments, rows, length))
        .compile()
        .memory_analysis()
    )
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + analysis.temp_size_in_bytes
    )


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="XLA's count is JAX's"
)
def test_xla_allots_what_was_estimated():
    larger = {**sizes.SMALL, "image_size": 168, "hidden_dim": 160}
    cases = [
        (sizes.SMALL, 8, 64, {}),
        (larger, 6, 96, {}),
        (sizes.SMALL, 8, 64, {"frozen": ("image_encoder",)}),
        (sizes.SMALL, 8, 64, {"lora_rank": 4}),
    ]
    measured, estimated = [], []
    for arguments, rows, length, settings in cases:
        measured.append(allotted(arguments, rows, length, **settings))
        estimate = estimate_memory(
            arguments, batch_size=rows, text_length=length, **settings
        )
        estimated.append(estimate.total)
    ratios = np.array(estimated) / measured
    print("estimated / allotted:", ratios.round(3))
    assert np.abs(ratios - 1).max() < TOLERANCE
    assert np.argsort(estimated).tolist() == np.argsort(measured).tolist()


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="counts what JAX keeps"
)
def test_remat_keeps_the_inputs_of_blocks():
    """XLA for CPUs undoes remat; what JAX hands it for keeping shows it."""
    import jax

    def kept(num_layers):
        settings = MemorySettings(remat=True)
        arguments = {**TINY, "num_layers": num_layers}
        model = sizes.ready_model(arguments, settings)
        x, _, _ = batch(arguments, 4, 16)
        shapes = jax.tree.map(
            lambda v: jax.ShapeDtypeStruct(v.shape, v.dtype),
            (
                [v.value for v in model.trainable_variables],
                [v.value for v in model.non_trainable_variables],
                x,
            ),
        )

        def backward(trained, rest, x):
            def loss(trained):
                y, _ = model.stateless_call(trained, rest, x, training=True)
                return y.sum()

            return jax.vjp(loss, trained)[1]

        leaves = jax.tree.leaves(jax.eval_shape(backward, *shapes))
        weights = sizes.count_bytes(model.trainable_variables)
        return (
            sum(math.prod(v.shape) * v.dtype.itemsize for v in leaves) - weights
        )

    def estimated(num_layers):
        blocks = block_activations(
            {**TINY, "num_layers": num_layers},
            MemorySettings(remat=True, batch_size=4, text_length=16),
        )
        return sum(block.inputs for block in blocks)

    assert kept(4) - kept(2) == estimated(4) - estimated(2)
