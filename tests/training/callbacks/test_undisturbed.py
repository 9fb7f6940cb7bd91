"""Callbacks that use the model in the midst of training."""

import json
import random

import keras
import numpy as np
import pytest
from PIL import Image

from keras_paligemma import PaliGemmaBackbone
from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.training.callbacks import JSONLog
from keras_paligemma.training.callbacks import PeriodicEvaluation
from keras_paligemma.training.callbacks import PredictionPictures
from keras_paligemma.training.callbacks import StepCallback
from keras_paligemma.training.callbacks import TextSamples
from keras_paligemma.training.checkpointing.run_state import random_state
from tests import tiny
from tests import tiny_preset
from tests.training import toy_models

TEXTS = ("a cat", "a cup of coffee", "a pink flower", "a red temple")
LENGTH = 14
NAMES = ("cat", "coffee", "flower", "temple")


class Record(StepCallback):
    """Keeps the logs of each step; draws, as a user's callback might."""

    def __init__(self):
        super().__init__()
        self.logs, self.draws = [], []

    def on_step_end(self, step, logs):
        self.logs.append(dict(logs))
        self.draws.append((random.random(), np.random.random()))


def raw_examples():
    photographs = tiny.photographs()
    return {
        "images": [photographs[name] for name in NAMES],
        "prompts": ["caption en"] * 3 + ["detect temple"],
        "responses": list(TEXTS),
    }


def draw(model):
    """An evaluation that leaves nothing as it was."""
    model.reset_metrics()
    keras.utils.set_random_seed(int(np.random.randint(1000)))
    return {"drawn": np.random.random()}


def trained(*callbacks):
    """Trains a tiny model with dropout; weights, logs and random state."""
    whole = tiny_preset.tiny_model()
    config = whole.backbone.get_config()
    config.update(dropout=0.2, num_layers=1, vit_num_layers=1)
    keras.utils.set_random_seed(0)
    model = PaliGemmaCausalLM(
        whole.preprocessor, PaliGemmaBackbone.from_config(config)
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-2), sampler="random")
    record = Record()
    keras.utils.set_random_seed(1)
    history = model.fit(
        raw_examples(),
        batch_size=1,
        epochs=2,
        verbose=0,
        callbacks=[*callbacks, record],
    )
    weights = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    slots = [
        keras.ops.convert_to_numpy(v).copy() for v in model.optimizer.variables
    ]
    return model, weights + slots, record, history, random_state()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run without callbacks, and one with all that use the model."""
    folder = tmp_path_factory.mktemp("looks")
    examples = raw_examples()
    said = []
    samples = TextSamples(
        examples,
        every=3,
        path=folder / "samples.jsonl",
        max_length=LENGTH,
        write=said.append,
    )
    looks = {
        "samples": samples,
        "said": said,
        "pictures": PredictionPictures(samples, 3, folder / "pictures"),
        "evaluation": PeriodicEvaluation(examples, every=3, batch_size=4),
        "function": PeriodicEvaluation(draw, every=1, name="own"),
        "log": folder / "log.jsonl",
        "folder": folder,
    }
    with_looks = trained(
        samples,
        looks["pictures"],
        looks["evaluation"],
        looks["function"],
        JSONLog(folder / "log.jsonl", every=3),
    )
    return trained(), with_looks, looks


def test_training_does_not_notice(runs):
    (_, plain, record, _, state), (_, looked, other, _, other_state), _ = runs
    for ours, theirs in zip(looked, plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert record.draws == other.draws
    assert json.dumps(state) == json.dumps(other_state)


def test_metrics_of_training_go_on(runs):
    (_, _, record, history, _), (_, _, other, other_history, _), _ = runs
    for before, after in zip(record.logs, other.logs, strict=True):
        for name, value in before.items():
            assert float(after[name]) == float(value)
    for name, values in history.history.items():
        assert other_history.history[name] == values


def test_says_what_the_weights_of_the_step_say(runs):
    _, (model, _, _, _, _), looks = runs
    # No step after the last; the weights are those that were looked at.
    examples = raw_examples()
    last = TextSamples(examples, every=1, max_length=LENGTH, write=None)
    last.set_model(model)
    texts = model.generate(
        {key: examples[key] for key in ("images", "prompts")},
        max_length=LENGTH,
        strip_prompt=True,
        seed=0,
    )
    assert [p.predicted for p in last.predict_now()] == texts
    first, second = looks["said"]
    assert first.startswith("step 3\n  prompt:    caption en\n")
    assert second.startswith("step 6\n")
    assert first.count("expected:  a cat\n") == 1
    lines = (looks["folder"] / "samples.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert [line["step"] for line in lines] == [3] * 4 + [6] * 4
    assert [line["expected"] for line in lines[:4]] == list(TEXTS)
    assert lines[4]["predicted"] == looks["samples"].predictions[0].predicted


def test_evaluation_is_of_the_weights_of_its_step(runs):
    _, (_, _, record, history, _), looks = runs
    results = looks["evaluation"].results
    assert [result["step"] for result in results] == [3, 6]
    assert results[0]["val_loss"] != results[1]["val_loss"]
    for step, result in ((3, results[0]), (6, results[1])):
        assert record.logs[step - 1]["val_loss"] == result["val_loss"]
    # Both lie within an epoch of four steps, whose logs have them too.
    losses = [result["val_loss"] for result in results]
    assert history.history["val_loss"] == losses
    lines = [json.loads(x) for x in looks["log"].read_text().splitlines()]
    assert [x["val_loss"] for x in lines if "epoch" not in x] == losses
    assert "own_drawn" in record.logs[0]


def test_draws_a_sheet_at_each_cadence(runs):
    _, _, looks = runs
    files = sorted((looks["folder"] / "pictures").iterdir())
    assert [file.name for file in files] == [
        "step_00000003.png",
        "step_00000006.png",
    ]
    with Image.open(files[0]) as sheet:
        # Two rows of two pictures.
        assert sheet.width > 2 * 320 and sheet.height > 2 * 200


def test_evaluates_at_a_step_what_evaluate_gives_then():
    model = toy_models.toy_model()
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    x, y = toy_models.toy_data(rows=8)
    held_out = toy_models.toy_data(seed=1)
    evaluation = PeriodicEvaluation(held_out, every=2)
    weights = {}

    class Keep(StepCallback):
        def on_step_end(self, step, logs):
            weights[step] = self.model.get_weights()

    model.fit(x, y, batch_size=2, verbose=0, callbacks=[evaluation, Keep()])
    for result in evaluation.results:
        model.set_weights(weights[result["step"]])
        expected = model.evaluate(*held_out, verbose=0)
        assert result["val_loss"] == pytest.approx(expected, rel=1e-6)
    assert [result["step"] for result in evaluation.results] == [2, 4]


def test_results_survive_a_resumed_start():
    evaluation = PeriodicEvaluation(draw, every=2)
    evaluation.results.append({"step": 2, "val_drawn": 0.5})
    state = json.loads(json.dumps(evaluation.get_state()))
    again = PeriodicEvaluation(draw, every=2)
    again.set_state(state)
    assert again.results == evaluation.results


def test_a_function_must_return_numbers():
    model = toy_models.toy_model()
    model.compile(loss="mse")
    evaluation = PeriodicEvaluation(lambda model: {"text": "good"}, every=1)
    x, y = toy_models.toy_data()
    with pytest.raises(ValueError, match="must return a dict of name to num"):
        model.fit(x, y, verbose=0, callbacks=[evaluation])


def test_lines_of_lost_steps_are_taken_away(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"step": 3}\n{"step": 6}\n')
    samples = TextSamples(raw_examples(), every=3, path=path)
    samples.step = 4
    samples.on_train_begin()
    assert path.read_text() == '{"step": 3}\n'


@pytest.mark.parametrize(
    ("examples", "match"),
    [
        ([1], "Received: list"),
        ({"prompts": ["a"]}, r"Received: keys \['prompts'\]"),
        ({"images": [1], "prompts": ["a"], "texts": []}, "'texts'"),
        ({"images": [], "prompts": []}, "lengths"),
        ({"images": [1, 2], "prompts": ["a"]}, "'images': 2"),
    ],
)
def test_refuses_what_is_no_example(examples, match):
    with pytest.raises(ValueError, match=match):
        TextSamples(examples, every=1)


def test_refuses_data_that_can_be_read_once():
    with pytest.raises(ValueError, match="read again and again"):
        PeriodicEvaluation(iter([1]), every=1)
    with pytest.raises(ValueError, match="`name` must be"):
        PeriodicEvaluation(draw, every=1, name="")
    with pytest.raises(ValueError, match="`every` must be"):
        PeriodicEvaluation(draw, every=0)
