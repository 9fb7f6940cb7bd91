"""Callbacks that count, time and write."""

import io
import json
import sys

import keras
import numpy as np
import pytest
import rich.console

from keras_paligemma.training import TrainingBatches
from keras_paligemma.training.callbacks import ExamplesSeen
from keras_paligemma.training.callbacks import JSONLog
from keras_paligemma.training.callbacks import ProgressBar
from keras_paligemma.training.callbacks import StepCallback
from keras_paligemma.training.callbacks import StopOnNonFinite
from keras_paligemma.training.callbacks import TensorBoardLogs
from keras_paligemma.training.callbacks import Throughput
from keras_paligemma.training.callbacks.stop_on_non_finite import (
    non_finite_inputs,
)
from keras_paligemma.training.flops import training_flops
from tests.models import tiny_models
from tests.training import toy_models


class Rows:
    """Examples of a toy model; `broken` is the step with a NaN."""

    def __init__(self, broken=None):
        self.broken = broken

    def batch(self, start, size):
        x, y = toy_models.toy_data(seed=start, rows=size)
        if self.broken is not None and start == self.broken * size:
            x[1, 0] = np.nan
        return x, y

    def examples_seen(self, num_examples, by="source"):
        return {"caption": num_examples - num_examples // 4, "ocr": 1}


def batches_of(source, total_steps=6):
    return TrainingBatches(source, lambda raw: raw, 2, total_steps, 3)


def fit(batches, *callbacks):
    model = toy_models.toy_model()
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")

    class Epoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            batches.epoch = epoch

    model.fit(
        batches,
        epochs=batches.num_epochs,
        shuffle=False,
        verbose=0,
        callbacks=[Epoch(), *callbacks],
    )
    return model


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_counts_examples_by_task(tmp_path):
    log = tmp_path / "log.jsonl"
    fit(batches_of(Rows()), ExamplesSeen(Rows(), 2, every=2), JSONLog(log, 2))
    seen = {
        line["step"]: (line["examples"], line["examples/caption"])
        for line in read_lines(log)
        if "examples" in line
    }
    assert seen == {2: (4, 3), 3: (6, 5), 4: (8, 6), 6: (12, 9)}


def test_writes_a_line_a_step_and_one_an_epoch(tmp_path):
    log = tmp_path / "deep" / "log.jsonl"
    fit(batches_of(Rows()), JSONLog(log, every=2))
    lines = read_lines(log)
    assert [(x["step"], x.get("epoch")) for x in lines] == [
        (2, None),
        (3, 1),
        (4, None),
        (6, None),
        (6, 2),
    ]
    assert all(np.isfinite(line["loss"]) for line in lines)


def test_a_line_is_of_the_steps_since_the_line_before(tmp_path):
    every = tmp_path / "1.jsonl"
    third = tmp_path / "3.jsonl"
    batches = TrainingBatches(Rows(), lambda raw: raw, 2, 10, 5)
    fit(batches, JSONLog(every, every=1), JSONLog(third, every=3))
    lines = read_lines(every)
    losses = {x["step"]: x["loss"] for x in lines if "epoch" not in x}
    epochs = {x["step"]: x["loss"] for x in lines if "epoch" in x}
    # No two alike, and the epochs' means are those of their steps.
    assert len({round(loss, 4) for loss in losses.values()}) == 10

    def mean(first, last):
        return np.mean([losses[step] for step in range(first, last + 1)])

    assert epochs == pytest.approx({5: mean(1, 5), 10: mean(6, 10)}, rel=1e-5)
    some = {x["step"]: x["loss"] for x in read_lines(third) if "epoch" not in x}
    # A line never reaches back over an epoch's beginning.
    expected = {3: mean(1, 3), 6: mean(6, 6), 9: mean(7, 9)}
    assert some == pytest.approx(expected, rel=1e-5)


def test_a_resumed_log_has_no_step_twice(tmp_path):
    path = tmp_path / "log.jsonl"
    fit(batches_of(Rows()), JSONLog(path, every=1))
    with path.open("a") as file:
        file.write('{"step": 9, "lo')
    again = JSONLog(path, every=1)
    again.step = 3
    again.on_train_begin()
    steps = [line["step"] for line in read_lines(path)]
    assert steps == [1, 2, 3, 3]


def test_names_step_and_batch_of_a_loss_that_is_no_number():
    batches = batches_of(Rows(broken=4))
    with pytest.raises(
        ValueError,
        match=r"loss of step 5 \(epoch 2, batch 2\) is nan. Not finite in "
        "the batch of step 5: inputs of example 1",
    ):
        fit(batches, StopOnNonFinite(batches))


def test_a_seldom_look_names_the_stretch():
    batches = batches_of(Rows(broken=1))
    with pytest.raises(
        ValueError, match="steps 1 to 3 .*the batch of step 2: inputs of ex"
    ):
        fit(batches, StopOnNonFinite(batches, every=5))


def test_finds_the_fault_in_any_kind_of_batch():
    class Batches(keras.utils.PyDataset):
        def __init__(self):
            super().__init__(workers=1)

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return Rows(broken=2).batch(index * 2, 2)

    batches = Batches()
    model = toy_models.toy_model()
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(
        ValueError, match=r"step 3 \(epoch 1, batch 3\).* inputs of example 1"
    ):
        model.fit(
            batches,
            shuffle=False,
            verbose=0,
            callbacks=[StopOnNonFinite(batches)],
        )


def test_names_what_is_not_finite():
    good, bad = np.ones((2, 2)), np.full((2, 2), np.inf, "float32")
    raw = {
        "images": [good, [good, bad], object()],
        "prompts": ["nan", "a", "b"],
        "weights": [1.0, float("nan"), 2.0],
        "token_ids": np.ones((3, 2), "int32"),
        "scores": keras.ops.convert_to_tensor([1.0, 2.0, np.nan], "bfloat16"),
    }
    assert non_finite_inputs(raw) == (
        "images of example 1, weights of example 1, scores of example 2"
    )
    assert non_finite_inputs((good, None, bad)) == (
        "weights of example 0, weights of example 1"
    )
    assert non_finite_inputs((good, good)) == ""


def test_no_checkpoint_is_written_after_a_bad_loss(tmp_path):
    batches = batches_of(Rows(broken=2))
    file = tmp_path / "last.weights.h5"
    saving = keras.callbacks.ModelCheckpoint(
        file, save_weights_only=True, save_freq="epoch"
    )
    with pytest.raises(ValueError, match="loss of steps? .*3"):
        # Not looked at before the epoch ends.
        fit(batches, StopOnNonFinite(batches, every=100), saving)
    assert not file.exists()


def test_finite_losses_go_on():
    batches = batches_of(Rows())
    fit(batches, StopOnNonFinite(batches), StopOnNonFinite())


def test_speed_follows_from_the_clock(monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(
        "keras_paligemma.training.callbacks.throughput.time.monotonic",
        lambda: float(next(clock)),
    )
    task = tiny_models.tiny_task(tiny_models.tiny_backbone())
    throughput = Throughput(8, text_length=6, peak_flops=1e9, every=5)
    throughput.set_model(task)
    throughput.on_train_begin()
    throughput.on_epoch_begin(0)
    logs = {}
    for batch in range(10):
        throughput.on_train_batch_end(batch, logs)
        # The first stretch, with compilation, is not timed.
        assert bool(logs) == (batch == 9)
    # Five steps of eight examples in two seconds; 4 image tokens each.
    assert logs["examples_per_second"] == 20
    assert logs["tokens_per_second"] == 20 * (4 + 6)
    share = logs["model_flops_utilization"]
    arguments = task.backbone.get_config()
    assert share == 20 * training_flops(arguments, text_length=6) / 1e9
    # Logits of the response alone are less work.
    less = Throughput(8, text_length=6, peak_flops=1e9, loss_tokens=2)
    less.set_model(task)
    less.on_train_begin()
    assert less.speeds(2.5)["model_flops_utilization"] < share


def test_progress_without_a_terminal_is_lines(monkeypatch):
    text = io.StringIO()
    console = rich.console.Console(file=text, width=200)
    fit(batches_of(Rows()), ProgressBar(6, 2, every=3, console=console))
    lines = text.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["3/6", "6/6"]
    assert all(" loss " in line and "examples/s" in line for line in lines)
    assert lines[-1].endswith("0:00:00 left")


def test_progress_on_a_terminal_is_a_bar():
    text = io.StringIO()
    console = rich.console.Console(file=text, width=120, force_terminal=True)
    fit(batches_of(Rows()), ProgressBar(6, 2, every=1, console=console))
    assert "6/6" in text.getvalue() and "100%" in text.getvalue()


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    from PIL import Image

    class Paint(StepCallback):
        def on_step_end(self, step, logs):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{step}.png")

    board = TensorBoardLogs(tmp_path / "board", every=2, pictures=tmp_path)
    fit(batches_of(Rows()), Paint(), board)
    (events,) = (tmp_path / "board").iterdir()
    content = events.read_bytes()
    assert content.count(b"loss") >= 4
    assert content.count(b"predictions") == 6


def test_a_picture_that_is_painted_again_is_shown_again(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "3.png")
    board = TensorBoardLogs(tmp_path / "board", every=1, pictures=tmp_path)
    board.step = 2
    board.on_train_begin()
    Image.new("RGB", (9, 9)).save(tmp_path / "3.png")
    board.on_epoch_begin(1)
    board.on_train_batch_end(0, {"loss": 1.0})
    board.on_train_end()
    (events,) = (tmp_path / "board").iterdir()
    assert events.read_bytes().count(b"predictions") == 1


def test_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match="pip install 'keras-paligemma"):
        TensorBoardLogs(tmp_path)


def test_refuses_numbers_and_sources_that_do_not_fit():
    with pytest.raises(ValueError, match="`batch_size` must be a whole number"):
        ExamplesSeen(Rows(), batch_size=0)
    with pytest.raises(ValueError, match="must have a method `examples_seen"):
        ExamplesSeen([], batch_size=1)
    with pytest.raises(ValueError, match="`total_steps` must be"):
        ProgressBar(total_steps=0, batch_size=1)
    with pytest.raises(ValueError, match="`text_length` must be"):
        Throughput(1, text_length=2.5)
    with pytest.raises(ValueError, match="`peak_flops` must be a positive"):
        Throughput(1, text_length=2, peak_flops=0)


@pytest.mark.parametrize("kind", [JSONLog, TensorBoardLogs])
def test_refuses_a_cadence_that_is_none(tmp_path, kind):
    with pytest.raises(ValueError, match="`every` must be a whole number"):
        kind(tmp_path / "log", every=0)
