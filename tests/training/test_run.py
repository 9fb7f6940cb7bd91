"""Whole runs: by `train` and by the command, interrupted and refused."""

import dataclasses
import json
import threading

import keras
import numpy as np
import pytest

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.cli import main
from keras_paligemma.data import Mixture
from keras_paligemma.data import read_jsonl
from keras_paligemma.training import RateSettings
from keras_paligemma.training import Stage
from keras_paligemma.training import train
from keras_paligemma.training.callbacks import StepCallback
from tests import tiny_preset

STAGE = Stage(
    "captions",
    image_size=28,
    text_length=16,
    epochs=6,
    mixture={"captions": 1.0},
    rates=((".*", RateSettings("cosine", peak=3e-3, warmup="10%")),),
    batch_size=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A preset and eight captions of two photographs."""
    folder = tmp_path_factory.mktemp("run")
    tiny_preset.tiny_model().save_to_preset(str(folder / "preset"))
    paths = tiny_preset.save_images(folder)
    lines = [
        {"image": path, "prefix": "caption en", "suffix": text}
        for path, text in zip(paths, ("a cat", "a cup of coffee"), strict=True)
        for _ in range(4)
    ]
    for line in lines:
        line["image"] = line["image"].rpartition("/")[2]
    (folder / "train.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    return folder


def load(folder, stage=STAGE):
    keras.utils.set_random_seed(0)
    return PaliGemmaCausalLM.from_preset(
        str(folder / "preset"), **stage.model_arguments()
    )


def data_of(folder, **settings):
    return Mixture(
        {"captions": (read_jsonl(folder / "train.jsonl"), 1.0)}, **settings
    )


def run(folder, workdir, **changes):
    model = load(folder)
    train(
        model,
        changes.pop("stage", STAGE),
        changes.pop("data", None) or data_of(folder),
        workdir,
        checkpoint_every=3,
        log_every=1,
        verbose=False,
        **changes,
    )
    return model


def weights_of(model):
    return {v.path: keras.ops.convert_to_numpy(v.value) for v in model.weights}


class Interrupt(StepCallback):
    def on_step_end(self, step, logs):
        if step == 8:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(folder):
    workdir = folder / "whole"
    return weights_of(run(folder, workdir)), workdir


def test_learns_logs_and_saves(folder, whole):
    weights, workdir = whole
    text = (workdir / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    # Eight examples, six epochs, batches of four.
    assert [x["step"] for x in lines if "epoch" not in x] == [*range(1, 13)]
    assert [x["epoch"] for x in lines if "epoch" in x] == [1, 2, 3, 4]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    assert lines[-1]["examples/captions"] == 48
    assert lines[-1]["epochs/captions"] == 6
    assert lines[5]["rate/all"] < lines[1]["rate/all"] == pytest.approx(3e-3)
    saved = weights_of(PaliGemmaCausalLM.from_preset(str(workdir / "model")))
    for path, value in weights.items():
        np.testing.assert_array_equal(saved[path], value)


class FourAtOnce:
    """A source of four readers, whose first batches come when all four read."""

    workers = 4

    def __init__(self, mixture):
        self.mixture = mixture
        self.barrier = threading.Barrier(4, timeout=60)
        self.asked = set()

    def batch(self, start, size):
        # `fit` may ask again, and past the end, where nothing is read ahead.
        first_time = start < 4 * size and start not in self.asked
        self.asked.add(start)
        if first_time:
            self.barrier.wait()
        return self.mixture.batch(start, size)


def test_every_reader_is_kept_at_work(folder, tmp_path):
    source = FourAtOnce(data_of(folder))
    stage = dataclasses.replace(STAGE, epochs=None, examples=4 * 4)
    run(folder, tmp_path, stage=stage, data=source)
    assert not source.barrier.broken


def test_an_interrupted_run_ends_with_the_same_weights(folder, whole):
    workdir = folder / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        run(folder, workdir, callbacks=[Interrupt()])
    assert not (workdir / "model").exists()
    again = weights_of(run(folder, workdir, callbacks=[StepCallback()]))
    for path, value in whole[0].items():
        np.testing.assert_array_equal(again[path], value, err_msg=path)
    texts = [(d / "log.jsonl").read_text() for d in (workdir, whole[1])]
    steps = [
        [json.loads(line)["step"] for line in text.splitlines()]
        for text in texts
    ]
    assert steps[0] == steps[1]


def test_a_run_that_has_ended_is_left_as_it_is(folder, whole):
    again = run(folder, whole[1])
    for path, value in weights_of(again).items():
        np.testing.assert_array_equal(value, whole[0][path])


def test_refuses_the_folder_of_another_run(folder, whole):
    other = dataclasses.replace(STAGE, batch_size=2)
    with pytest.raises(ValueError, match="batch_size is 4 there and 2 here"):
        run(folder, whole[1], stage=other)
    with pytest.raises(ValueError, match="data is .* there and .* here"):
        run(folder, whole[1], data=data_of(folder, seed=1))


def test_refuses_a_model_of_another_stage(folder, tmp_path):
    other = dataclasses.replace(STAGE, dropout=0.5)
    with pytest.raises(ValueError, match="model with dropout=0.5. Received"):
        train(load(folder), other, data_of(folder), tmp_path)
    assert not any(tmp_path.iterdir())


def test_refuses_a_schedule_longer_than_the_run(folder, tmp_path):
    rates = ((".*", RateSettings("cosine", peak=1e-3, warmup=13)),)
    longer = dataclasses.replace(STAGE, rates=rates)
    with pytest.raises(ValueError, match="captions, rates of .*warmup"):
        train(load(folder), longer, data_of(folder), tmp_path)
    assert not any(tmp_path.iterdir())


def test_accumulated_batches_make_the_same_updates(folder, whole, tmp_path):
    split = weights_of(run(folder, tmp_path, gradient_accumulation_steps=2))
    for path, value in whole[0].items():
        if path.endswith("key_dense/bias"):
            # Softmax takes it away: its gradient is rounding, which Adam
            # makes a step of.
            continue
        np.testing.assert_allclose(split[path], value, atol=2e-4, err_msg=path)


def test_the_command_trains_by_a_recipe(folder, tmp_path, capsys):
    arguments = [
        *("train", "--recipe", "cococap", "--preset", str(folder / "preset")),
        *("--data", str(folder / "train.jsonl")),
        *("--validation", str(folder / "train.jsonl")),
        *("--workdir", str(tmp_path / "run"), "--image-size", "28"),
        *("--batch-size", "4", "--epochs", "2", "--text-length", "16"),
        *("--rate-factor", "100", "--lora-rank", "2", "--samples", "2"),
    ]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "step 4/4" in output or "4/4" in output
    assert "val_loss" in output
    assert (tmp_path / "run" / "model" / "config.json").exists()
    # Once more: it has ended.
    assert main(arguments) == 0
    assert main([*arguments, "--seed", "1"]) == 2
    assert "seed is 0 there and 1 here" in capsys.readouterr().err


def test_the_command_trains_on_the_synthetic_world(folder, tmp_path, capsys):
    words = ["train", "--preset", str(folder / "preset"), "--synthetic", "3"]
    words += ["--recipe", "tiny_stage_1", "--image-size", "70"]
    words += ["--batch-size", "8", "--examples", "48", "--text-length", "512"]
    words += ["--samples", "2", "--readers", "1", "--length-window", "2"]
    assert main([*words, "--workdir", str(tmp_path / "run")]) == 0
    assert "tiny stage 1, trained" in capsys.readouterr().out
    log = (tmp_path / "run/log.jsonl").read_text().splitlines()
    assert np.isfinite(json.loads(log[-1])["loss"])
    assert (tmp_path / "run/model/config.json").is_file()


def test_the_synthetic_world_needs_a_recipe_of_tasks(folder, capsys):
    words = ["train", "--preset", str(folder / "preset"), "--synthetic", "3"]
    words += ["--recipe", "textcaps", "--workdir", str(folder / "none")]
    assert main(words) == 2
    assert "tiny_stage_1" in capsys.readouterr().err
    assert not (folder / "none").exists()
