"""The seven tasks as methods over a model."""

import numpy as np
import pytest

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma import PaliGemmaTasks
from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import Box
from tests import tiny
from tests import tiny_preset

BOXES = "<loc0100><loc0200><loc0300><loc0400> cat ; " * 2
BOXES = BOXES.removesuffix(" ; ").replace("0300", "0500", 1)
MASK = "<loc0000><loc0001><loc0002><loc0003>" + "<seg007>" * 16 + " cat"


@pytest.fixture(scope="module")
def images():
    photographs = tiny.photographs()
    return [photographs["cat"], photographs["coffee"]]


@pytest.fixture(scope="module")
def tasks():
    model = tiny_preset.tiny_model()
    model.compile(sampler="greedy")
    return PaliGemmaTasks(model, max_length=64)


@pytest.fixture
def recorded(tasks, monkeypatch):
    """Answers without a model: each prompt is written down."""
    prompts = []

    def generate(self, inputs, max_length, strip_prompt):
        assert (max_length, strip_prompt) == (64, True)
        assert len(inputs["images"]) == len(inputs["prompts"])
        prompts.extend(inputs["prompts"])
        return [f" said {i} " for i in range(len(inputs["prompts"]))]

    monkeypatch.setattr(PaliGemmaCausalLM, "generate", generate)
    return prompts


def test_prompts_are_those_of_training(tasks, images, recorded):
    assert tasks.caption(images[0]) == "said 0"
    assert tasks.caption(images, lang=["de", "fr"]) == ["said 0", "said 1"]
    assert tasks.ocr(np.stack([images[0]] * 2)) == ["said 0", "said 1"]
    assert tasks.answer(images, "how many?", lang="de")[1] == "said 1"
    assert tasks.ask(images, ["1", "2"]) == ["said 0", "said 1"]
    boxes = [Box(0, 0, 1, 1), Box(0, 0, 0.5, 1)]
    assert tasks.describe_region(images[0], boxes[1]) == "said 0"
    assert tasks.describe_region(images[0], boxes) == ["said 0", "said 1"]
    assert tasks.describe_region(images, boxes) == ["said 0", "said 1"]
    region = "caption <loc0000><loc0000><loc{}><loc1023>"
    whole, half = region.format("1023"), region.format("0512")
    assert recorded == [
        "caption en",
        "caption de",
        "caption fr",
        *["ocr"] * 2,
        *["answer de how many?"] * 2,
        "question en 1",
        "question en 2",
        half,
        *[whole, half] * 2,
    ]


def test_answers_of_a_model(tasks, images):
    first, second = tasks.caption(images)
    assert tasks.caption(images[0]) == first
    assert isinstance(second, str)


def test_boxes_and_masks_of_random_weights(tasks, images):
    for found in (
        tasks.detect(images, ["cat", "dog"])
        + tasks.detect(images, [["cat"], "dog"])
        + [tasks.detect(images[0], "dog")]
        + tasks.segment(images, "cat")
    ):
        assert {problem.kind for problem in found.problems} <= {"repeated"}
        # A thousandth or so: the mean probability of a random model.
        assert all(0 < box.score < 0.1 for box in found.boxes)
        assert {box.label for box in found.boxes} <= {"cat", "dog"}


@pytest.mark.parametrize(
    ("name", "text"), [("detect", BOXES), ("segment", MASK)]
)
def test_scores_are_means_over_the_right_tokens(
    tasks, images, monkeypatch, name, text
):
    tokenizer = tasks.model.preprocessor.tokenizer
    row = [*tokenizer(text), tokenizer.end_token_id]
    count = len(tokenizer("<loc0000> cat")) - 1
    # Every token 1.0, but locations 0.5 and labels 0.25.
    probabilities = np.ones(len(row))
    spelled = [tokenizer.detokenize([int(token)]) for token in row]
    per_box, begin = [], 0
    for _ in text.split(" ; "):
        locations = slice(begin, begin + 4)
        probabilities[locations] = 0.5
        codes = 16 if name == "segment" else 0
        label = begin + 4 + codes
        probabilities[label : label + count] = 0.25
        per_box.append(0.5 ** (4 / (4 + count)) * 0.25 ** (count / (4 + count)))
        begin = next(
            (i for i in range(label, len(row)) if "<loc" in spelled[i]),
            len(row),
        )

    def generate_tokens(self, inputs, max_length, grammar):
        assert grammar.accepts(row)
        return [np.array(row)], [np.log(probabilities)]

    monkeypatch.setattr(PaliGemmaCausalLM, "generate_tokens", generate_tokens)
    found = getattr(tasks, name)(images[0], ["cat"])
    scores = [box.score for box in found.boxes]
    np.testing.assert_allclose(scores, per_box, rtol=1e-6)
    written = found.masks if name == "segment" else found.boxes
    assert TASKS[name].suffix(written) == text


def test_bad_input(tasks, images):
    with pytest.raises(ValueError, match="`question`.* 3 for 2 images"):
        tasks.answer(images, ["a", "b", "c"])
    with pytest.raises(ValueError, match="`labels`.* 1 for 2 images"):
        tasks.detect(images, [["cat"]])
    with pytest.raises(ValueError, match="lang"):
        tasks.caption(images[0], lang="xx")
    with pytest.raises(ValueError, match="preprocessor=None"):
        PaliGemmaTasks(
            PaliGemmaCausalLM(preprocessor=None, backbone=tasks.model.backbone)
        )
    assert tasks.caption([]) == tasks.detect([], "cat") == []
