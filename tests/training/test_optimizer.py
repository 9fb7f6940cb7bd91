import keras
import numpy as np
import pytest

from keras_paligemma.training.optimizer import ComponentAdam
from tests.models import tiny_models
from tests.training import toy_models

# Rates of updates 0 to 5: 0.1, 0.09, ... 0.05.
FALLING = keras.optimizers.schedules.PolynomialDecay(0.1, 10, 0.0)
TABLE = [
    ("image_encoder/.*", FALLING),
    ("decoder/bias", None),
    (".*", 0.02),
]


def numpy_adam(values, all_gradients, rates, decays, norm):
    """Algorithm 1 of the paper, with decoupled decay, in float64.

    Args:
        values: dict of path to array.
        all_gradients: list of dicts of path to array.
        rates, decays: Functions of path and number of updates before; the
            rate `None` freezes.
        norm: float. Global norm that gradients are clipped to.
    """
    values = {path: v.astype("float64") for path, v in values.items()}
    first, second = {}, {}
    for step, gradients in enumerate(all_gradients):
        trained = {
            path: gradient
            for path, gradient in gradients.items()
            if rates(path, step) is not None
        }
        for path, g in toy_models.clipped(trained, norm).items():
            first[path] = 0.9 * first.get(path, 0) + 0.1 * g
            second[path] = 0.999 * second.get(path, 0) + 0.001 * g**2
            mean = first[path] / (1 - 0.9 ** (step + 1))
            square = second[path] / (1 - 0.999 ** (step + 1))
            values[path] = (
                values[path]
                - rates(path, step) * mean / (np.sqrt(square) + 1e-8)
                - decays(path, step) * values[path]
            )
    return values


def rate_of(path, step):
    if path.startswith("image_encoder"):
        return 0.1 - 0.01 * step
    return None if path == "decoder/bias" else 0.02


@pytest.mark.parametrize("form", ["published", "times_rate", "by_pattern"])
def test_five_steps_equal_the_papers_formula(form):
    model = toy_models.toy_model()
    before = toy_models.values_of(model)
    # Gradients of the frozen variable are large: in the norm they would
    # change everything.
    gradients = [
        toy_models.gradients_for(model.weights, seed) for seed in range(5)
    ]
    for step in gradients:
        step["decoder/bias"] *= 100

    def decay_of(path, step):
        shape = rate_of(path, step)
        if form == "times_rate":
            return 0.3 * shape if path.endswith("kernel") else 0.0
        shape = 1 - 0.1 * step if path.startswith("image_encoder") else 1
        if form == "by_pattern":
            return {"decoder/kernel": 0.2, "projector/bias": 0.0}.get(path, 0.1)
        kernels = ("image_encoder/kernel", "projector/kernel")
        return 0.3 * shape if path in kernels else 0.0

    if form == "by_pattern":
        table = [(".*/bias", None), (".*", 0.02)]
        weight_decay = [("decoder/.*", 0.2), ("x", 0.0), (".*", 0.1)]

        def rates(path, step):
            return None if path.endswith("bias") else 0.02
    else:
        table, rates = TABLE, rate_of
        weight_decay = 0.3 if form == "published" else [(".*/kernel", 0.3)]
    optimizer = ComponentAdam(
        table,
        weight_decay=weight_decay,
        decay_times_rate=form == "times_rate",
        global_clipnorm=1.5,
    )
    for step in gradients:
        toy_models.apply_gradients(optimizer, model.weights, step)
    expected = numpy_adam(before, gradients, rates, decay_of, 1.5)
    toy_models.assert_same_values(model, expected, rtol=2e-6)
    assert int(optimizer.iterations) == 5


def test_bfloat16_variables_are_trained():
    model = toy_models.toy_model(dtype="bfloat16")
    before = toy_models.values_of(model)
    gradients = toy_models.gradients_for(model.weights, 0)
    optimizer = ComponentAdam([(".*", 0.125)])
    toy_models.apply_gradients(optimizer, model.weights, gradients)
    assert {v.dtype for v in optimizer.variables[2:]} == {"float32"}
    for path, value in toy_models.values_of(model).items():
        # The first step of Adam is the rate, by the sign of the gradient.
        step = -0.125 * np.sign(gradients[path])
        np.testing.assert_allclose(value, before[path] + step, rtol=0.01)


@pytest.mark.parametrize(
    "frozen, trained",
    [("image_encoder", "projector"), ("projector", "image_encoder")],
)
def test_frozen_components_of_paligemma_keep_every_bit(frozen, trained):
    backbone = tiny_models.tiny_backbone()
    before = toy_models.values_of(backbone)
    optimizer = ComponentAdam(
        [(f"{frozen}/.*", None), (".*", 1e-3)],
        weight_decay=[(".*", 0.1)],
        global_clipnorm=1.0,
    )
    task = tiny_models.tiny_task(backbone, optimizer=optimizer)
    inputs = tiny_models.prompt_inputs()
    inputs["response_mask"] = inputs["padding_mask"]
    targets = np.roll(inputs["token_ids"], -1, axis=1)
    weights = inputs["padding_mask"].astype("float32")
    for _ in range(10):
        task.train_on_batch(inputs, targets, sample_weight=weights)
    after = toy_models.values_of(backbone)
    for path in before:
        same = np.array_equal(before[path], after[path])
        assert same == path.startswith(frozen), path
    slots = [v.name for v in optimizer.variables]
    assert not any(name.startswith(frozen) for name in slots)
    assert any(name.startswith(trained) for name in slots)
    count = sum(not path.startswith(frozen) for path in before)
    assert len(slots) == 2 + 2 * count


@pytest.mark.parametrize("frozen", ["decoder/bias", "nothing"])
def test_accumulating_four_batches_equals_one_batch_of_four(frozen):
    x, y = toy_models.toy_data(rows=12)
    values = []
    for size in (1, 4):
        model = toy_models.toy_model()
        optimizer = ComponentAdam(
            [(frozen, None), *TABLE[::2]],
            weight_decay=0.1,
            global_clipnorm=0.5,
            gradient_accumulation_steps=4 if size == 1 else None,
        )
        model.compile(optimizer=optimizer, loss="mse")
        for row in range(0, 12, size):
            model.train_on_batch(x[row : row + size], y[row : row + size])
        assert int(optimizer.iterations) == 3
        values.append(toy_models.values_of(model))
        assert optimizer.rates()["image_encoder/.*"] == pytest.approx(0.07)
    toy_models.assert_same_values(model, values[0], rtol=1e-5)


def test_float16_loss_scaling_skips_steps_that_overflow():
    x, y = toy_models.toy_data()
    model = toy_models.toy_model(dtype="mixed_float16")
    before = toy_models.values_of(model)
    inner = ComponentAdam(TABLE, weight_decay=0.1, global_clipnorm=1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(
        inner, initial_scale=2.0**40
    )
    model.compile(optimizer=optimizer, loss="mse")
    model.train_on_batch(x, y)
    toy_models.assert_same_values(model, before)
    assert int(inner.iterations) == 0
    for _ in range(40):
        model.train_on_batch(x, y)
    assert 0 < int(inner.iterations) < 40
    after = toy_models.values_of(model)
    for path in before:
        same = np.array_equal(before[path], after[path])
        assert same == (path == "decoder/bias"), path
        assert np.isfinite(after[path]).all()


def test_rows_looked_up_twice_count_once_in_the_norm():
    """TensorFlow's gradients of a lookup list a row as often as it occurs."""
    generator = np.random.default_rng(0)
    ids = np.array([[1, 1, 2], [1, 0, 2]], "int32")
    factors = generator.normal(size=(2, 2, 3, 2)).astype("float32")
    inputs = keras.Input((3,), dtype="int32")
    layer = keras.layers.Embedding(4, 2, name="embedding")
    model = keras.Model(inputs, layer(inputs))
    toy_models.randomise(model)
    before = toy_models.values_of(model)
    model.compile(
        optimizer=ComponentAdam([(".*", 0.1)], global_clipnorm=0.5),
        loss=lambda y, x: keras.ops.sum(x * y, axis=(1, 2)),
    )
    gradients = []
    for each in factors:
        model.train_on_batch(ids, each)
        gradient = np.zeros((4, 2))
        np.add.at(gradient, ids, each / 2)
        gradients.append({"embedding/embeddings": gradient})
    expected = numpy_adam(
        before, gradients, lambda *_: 0.1, lambda *_: 0.0, 0.5
    )
    toy_models.assert_same_values(model, expected, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_by_the_compile_defaults(policy):
    x, y = toy_models.toy_data()
    model = toy_models.toy_model(dtype=policy)
    model.compile(
        optimizer=ComponentAdam(TABLE, global_clipnorm=1.0),
        loss="mse",
        auto_scale_loss=True,
    )
    losses = [float(model.train_on_batch(x, y)) for _ in range(40)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("accumulation", [None, 2])
def test_going_on_from_a_saved_model_equals_going_on(accumulation, tmp_path):
    x, y = toy_models.toy_data()
    model = toy_models.toy_model()
    optimizer = ComponentAdam(
        TABLE,
        weight_decay=[("projector/.*", 0.1)],
        global_clipnorm=1.0,
        gradient_accumulation_steps=accumulation,
    )
    model.compile(optimizer=optimizer, loss="mse")
    for _ in range(3):
        model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == optimizer.get_config()
    assert loaded.optimizer.rates() == optimizer.rates()
    for each in (model, loaded):
        for _ in range(3):
            each.train_on_batch(x, y)
    toy_models.assert_same_values(loaded, toy_models.values_of(model))


def test_lora_trains_only_its_own_variables():
    backbone = tiny_models.tiny_backbone()
    backbone.enable_lora(2)
    optimizer = ComponentAdam(
        [
            (".*/bias", None),
            ("image_encoder/.*", 1e-2),
            ("projector/.*", None),
            (".*", 1e-2),
        ]
    )
    task = tiny_models.tiny_task(backbone, optimizer=optimizer)
    before = toy_models.values_of(task)
    inputs = tiny_models.prompt_inputs()
    targets = np.roll(inputs["token_ids"], -1, axis=1)
    for _ in range(2):
        task.train_on_batch(inputs, targets, inputs["padding_mask"])
    after = toy_models.values_of(task)
    for path in before:
        same = np.array_equal(before[path], after[path])
        assert same == ("lora" not in path), path


# torch.compile warns of what torch itself does.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulation", [None, 2])
def test_compiled_steps_equal_steps_one_by_one(accumulation):
    x, y = toy_models.toy_data()
    values = []
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        model = toy_models.toy_model()
        optimizer = ComponentAdam(
            TABLE,
            weight_decay=0.1,
            global_clipnorm=0.5,
            gradient_accumulation_steps=accumulation,
        )
        model.compile(optimizer=optimizer, loss="mse", **options)
        for _ in range(4):
            model.train_on_batch(x, y)
        values.append(toy_models.values_of(model))
    toy_models.assert_same_values(model, values[0], rtol=1e-5)


def test_learning_rate_is_a_factor_on_all_rates():
    model = toy_models.toy_model()
    optimizer = ComponentAdam(TABLE, learning_rate=0.5)
    gradients = toy_models.gradients_for(model.weights, 0)
    assert optimizer.rates() == pytest.approx(
        {"image_encoder/.*": 0.05, ".*": 0.01}
    )
    before = toy_models.values_of(model)
    toy_models.apply_gradients(optimizer, model.weights, gradients)
    optimizer.learning_rate = 0.0
    after = toy_models.values_of(model)
    change = np.abs(after["projector/kernel"] - before["projector/kernel"])
    np.testing.assert_allclose(change, 0.01, rtol=1e-4)
    toy_models.apply_gradients(optimizer, model.weights, gradients)
    toy_models.assert_same_values(model, after)
    optimizer.learning_rate = 1.0
    assert optimizer.rates(4)["image_encoder/.*"] == pytest.approx(0.06)


def test_moving_averages_of_trained_variables_only():
    x, y = toy_models.toy_data()
    model = toy_models.toy_model()
    before = toy_models.values_of(model)
    optimizer = ComponentAdam(TABLE, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(x, y, epochs=2, batch_size=4, verbose=0)
    after = toy_models.values_of(model)
    for path in before:
        same = np.array_equal(before[path], after[path])
        assert same == (path == "decoder/bias"), path


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"table": [("decoder/.*", 1.0)]}, "leave out 4 of 6"),
        ({"table": [("text/.*", 1.0), (".*", 1.0)]}, "'text/.*' matches"),
        ({"table": [(".*", 1.0), ("decoder/.*", 1.0)]}, "earlier patterns"),
        (
            {"table": [(".*", 1.0)], "weight_decay": [("text/.*", 0.1)]},
            "'text/.*' matches",
        ),
        (
            {"table": [(".*", 0.0)], "weight_decay": 0.1},
            "decay_times_rate=True",
        ),
        ({"table": [(".*", 1.0)], "beta_2": 1.0}, "beta_2=1.0"),
        ({"table": [(".*", 1.0)], "weight_decay": -1.0}, "at least 0"),
    ],
)
def test_tables_that_do_not_fit_are_refused(arguments, message):
    model = toy_models.toy_model()
    with pytest.raises(ValueError, match=message):
        ComponentAdam(**arguments).build(model.trainable_variables)
