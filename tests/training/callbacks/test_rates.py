"""Rates in the logs, and rates that callbacks set."""

import keras
import numpy as np
import pytest

from keras_paligemma.training import ComponentAdam
from keras_paligemma.training import CosineSchedule
from keras_paligemma.training.callbacks import ComponentRates
from keras_paligemma.training.callbacks import ComponentWarmup
from keras_paligemma.training.callbacks import StepCallback
from keras_paligemma.training.schedules import WarmedUpSchedule
from tests.training import toy_models

COSINE = CosineSchedule(peak=0.1, warmup_steps=2, total_steps=8)


class Record(StepCallback):
    """Keeps the logs and the weights of each step."""

    def __init__(self):
        super().__init__()
        self.logs, self.values = [], []

    def on_step_end(self, step, logs):
        self.logs.append(dict(logs))
        self.values.append(toy_models.values_of(self.model))


def fit(optimizer, *callbacks, epochs=2, model=None):
    model = model or toy_models.toy_model()
    before = toy_models.values_of(model)
    model.compile(optimizer=optimizer, loss="mse")
    record = Record()
    x, y = toy_models.toy_data(rows=8)
    model.fit(
        x,
        y,
        batch_size=2,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, record],
    )
    return record, [before, *record.values]


def test_logs_the_rate_of_each_component():
    slow = CosineSchedule(peak=0.01, warmup_steps=4, total_steps=8)
    optimizer = ComponentAdam([("image_encoder/.*", slow), (".*", COSINE)])
    record, _ = fit(optimizer, ComponentRates(every=1))
    for step, logs in enumerate(record.logs):
        for name, schedule in (("image_encoder", slow), ("all", COSINE)):
            expected = float(schedule(step))
            assert logs[f"rate/{name}"] == pytest.approx(expected, rel=1e-6)


def test_a_schedule_takes_effect_in_its_very_step():
    # Plain descent: a step is the rate times the gradient.
    scheduled, _ = fit(
        keras.optimizers.SGD(0.5), ComponentRates(1, schedule=COSINE)
    )
    expected, _ = fit(keras.optimizers.SGD(COSINE))
    for ours, theirs in zip(scheduled.values, expected.values, strict=True):
        for path, value in theirs.items():
            np.testing.assert_allclose(ours[path], value, rtol=1e-5, atol=1e-6)
    assert [logs["rate/all"] for logs in scheduled.logs] == pytest.approx(
        [float(COSINE(step)) for step in range(8)]
    )


@pytest.mark.parametrize("decay_times_rate", [True, False])
def test_a_table_takes_the_place_of_the_compiled_one(decay_times_rate):
    slow = CosineSchedule(peak=0.01, warmup_steps=4, total_steps=8)
    table = [("image_encoder/.*", slow), ("decoder/.*", None), (".*", COSINE)]
    decays = {
        "weight_decay": [(".*/kernel", 0.1)],
        "decay_times_rate": decay_times_rate,
    }
    compiled = [("decoder/.*", None), (".*", 0.5)]
    ours, _ = fit(
        ComponentAdam(compiled, **decays), ComponentRates(1, table=table)
    )
    theirs, _ = fit(ComponentAdam(table, **decays), ComponentRates(1))
    for got, expected in zip(ours.values, theirs.values, strict=True):
        for path, value in expected.items():
            np.testing.assert_allclose(got[path], value, rtol=1e-6)
    assert "rate/image_encoder" in ours.logs[0]
    assert [logs["rate/all"] for logs in ours.logs] == [
        logs["rate/all"] for logs in theirs.logs
    ]


def test_a_schedule_is_a_factor_on_a_table():
    scheduled, _ = fit(
        ComponentAdam([(".*", 0.5)]), ComponentRates(1, schedule=COSINE)
    )
    rates = [logs["rate/all"] for logs in scheduled.logs]
    assert rates == pytest.approx([0.5 * float(COSINE(i)) for i in range(8)])


@pytest.mark.parametrize(
    ("compiled", "table", "match"),
    [
        (None, [(".*", 0.1)], "compile with `ComponentAdam"),
        ([(".*", 0.1)], [("decoder/.*", 0.1)], "must be matched"),
        ([(".*", 0.1)], [("ocr/.*", 0.1), (".*", 1)], "'ocr/.*' matches"),
        (
            [(".*", 0.1)],
            [("decoder/.*", None), (".*", 0.1)],
            "Received: decoder/kernel, trained until now",
        ),
        (
            [("decoder/.*", None), (".*", 0.1)],
            [(".*", 0.1)],
            "Received: decoder/kernel, frozen until now",
        ),
    ],
)
def test_refuses_a_table_that_does_not_fit(compiled, table, match):
    optimizer = ComponentAdam(compiled) if compiled else keras.optimizers.Adam()
    with pytest.raises(ValueError, match=match):
        fit(optimizer, ComponentRates(table=table))


def test_refuses_rates_that_are_none():
    with pytest.raises(ValueError, match="`schedule` must be callable"):
        ComponentRates(schedule=0.1)
    with pytest.raises(ValueError, match="Received: both"):
        ComponentRates(schedule=COSINE, table=[(".*", 0.1)])
    with pytest.raises(ValueError, match="A schedule must be a float"):
        ComponentRates(table=[(".*", "fast")])
    with pytest.raises(ValueError, match="`component` must be the name"):
        ComponentWarmup(None)


def test_a_component_warms_up_alone():
    def table():
        return [("projector/.*", 0.03), (".*", 0.02)]

    warmed = [("image_encoder/.*", WarmedUpSchedule(0.02, 6)), *table()]
    ours, _ = fit(ComponentAdam(table()), ComponentWarmup(steps=6))
    theirs, _ = fit(ComponentAdam(warmed))
    for got, expected in zip(ours.values, theirs.values, strict=True):
        for path, value in expected.items():
            np.testing.assert_allclose(got[path], value, rtol=1e-6)


def test_a_second_fit_goes_on_along_the_ramp():
    model = toy_models.toy_model()
    optimizer = ComponentAdam([(".*", 0.02)])
    warmup, rates = ComponentWarmup(steps=6), ComponentRates(every=1)
    model.compile(optimizer=optimizer, loss="mse")
    seen = []
    for _ in range(2):
        record = Record()
        x, y = toy_models.toy_data(rows=8)
        model.fit(
            x, y, batch_size=2, verbose=0, callbacks=[warmup, rates, record]
        )
        seen += [logs["rate/image_encoder"] for logs in record.logs]
    ramp = [0.02 * min(1, step / 6) for step in range(8)]
    np.testing.assert_allclose(seen, ramp, rtol=1e-6)


def test_a_warm_up_changes_a_function_that_was_traced_before():
    model = toy_models.toy_model()
    model.compile(optimizer=ComponentAdam([(".*", 0.02)]), loss="mse")
    x, y = toy_models.toy_data()
    model.fit(x, y, batch_size=4, verbose=0)
    before = toy_models.values_of(model)
    warmup = ComponentWarmup("image_encoder", steps=10**6)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[warmup])
    for path, value in toy_models.values_of(model).items():
        change = np.abs(value - before[path]).max()
        assert change < 1e-6 if "image_encoder" in path else change > 1e-3


def test_a_warm_up_needs_rates_by_component():
    with pytest.raises(ValueError, match="compile with `ComponentAdam"):
        fit(keras.optimizers.SGD(0.1), ComponentWarmup())


def test_a_warm_up_of_nothing_is_named():
    with pytest.raises(ValueError, match="component=embedding, under"):
        fit(ComponentAdam([(".*", 0.1)]), ComponentWarmup("embedding"))


def test_a_warmed_up_schedule_is_saved_whole():
    schedule = WarmedUpSchedule(COSINE, 4)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    for step in range(8):
        expected = float(COSINE(step)) * min(1, step / 4)
        assert float(schedule(step)) == pytest.approx(expected)
        assert float(again(step)) == float(schedule(step))
