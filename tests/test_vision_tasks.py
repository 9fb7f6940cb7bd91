"""The seven tasks as methods over a model."""

import numpy as np
import pytest

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma import PaliGemmaTasks
from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import Mask
from keras_paligemma.tasks import Segmentations
from tests import tiny
from tests import tiny_preset

BOXES = "<loc0100><loc0200><loc0300><loc0400> cat ; " * 2
BOXES = BOXES.removesuffix(" ; ").replace("0300", "0500", 1)
MASK = "<loc0000><loc0001><loc0002><loc0003>" + "<seg007>" * 16 + " cat"


class HalfMasks:
    """A codec: the upper half of a crop is mask if the first code is odd."""

    def decode(self, codes):
        assert codes.shape == (len(codes), 16) and len(codes)
        crops = np.zeros((len(codes), 64, 64), "float32")
        crops[:, :32] = (codes[:, :1] % 2)[..., None]
        return crops


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


def test_batches_and_other_labels_for_each_image(tasks, images):
    labels = [["cat"], ["dog", "cat"], ["cat"]]
    rows = [images[0], images[1], images[1]]
    whole = tasks.detect(rows, labels)
    parts = PaliGemmaTasks(tasks.model, max_length=64, batch_size=2)
    for image, asked, first, second in zip(
        rows, labels, whole, parts.detect(rows, labels), strict=True
    ):
        alone = tasks.detect(image, asked)
        for found in (second, alone):
            assert [b.yxyx for b in found.boxes] == [
                b.yxyx for b in first.boxes
            ]
            assert [b.label for b in found.boxes] == [
                b.label for b in first.boxes
            ]
    assert any(found.boxes for found in whole)
    assert len(parts.ocr(rows)) == 3


def test_masks_become_pixels_of_their_own_image(tasks, images):
    seeing = PaliGemmaTasks(tasks.model, codec=HalfMasks())
    odd, even = [1] + [0] * 15, [2] + [0] * 15
    lower = Mask(Box(0.5, 0, 1, 1, "cat"), odd)
    found = [
        Segmentations((lower, Mask(Box(0, 0, 1, 1, "cat"), even))),
        Segmentations(),
    ]
    small = images[1][:20, :40]
    first, second = seeing.mask_pixels([images[0], small], found)
    assert first.shape == (2, 60, 80) and second.shape == (0, 20, 40)
    assert first.dtype == second.dtype == bool
    assert first[0, 31:44].all() and not first[0, 46:].any()
    assert not first[0, :30].any() and not first[1].any()
    alone = seeing.mask_pixels(small, found[0])
    np.testing.assert_array_equal(
        alone[0], lower.pixels(HalfMasks(), small.shape[:2])
    )
    # What a model writes has the form that a codec takes.
    found = tasks.segment(images, "cat")
    pixels = seeing.mask_pixels(images, found)
    assert [len(rows) for rows in pixels] == [len(one.masks) for one in found]


def test_bad_input(tasks, images):
    with pytest.raises(ValueError, match="`questions`.* 3 for 2 images"):
        tasks.answer(images, ["a", "b", "c"])
    with pytest.raises(ValueError, match="`labels`.* 1 for 2 images"):
        tasks.detect(images, [["cat"]])
    with pytest.raises(ValueError, match="lang"):
        tasks.caption(images[0], lang="xx")
    with pytest.raises(ValueError, match="preprocessor=None"):
        PaliGemmaTasks(
            PaliGemmaCausalLM(preprocessor=None, backbone=tasks.model.backbone)
        )
    with pytest.raises(ValueError, match="batch_size=0"):
        PaliGemmaTasks(tasks.model, batch_size=0)
    with pytest.raises(ValueError, match="things=\\('cat', 'cat'\\)"):
        tasks.detect(images[0], ["cat", "cat"])
    with pytest.raises(ValueError, match="codec=None"):
        tasks.mask_pixels(images[0], Segmentations())
    seeing = PaliGemmaTasks(tasks.model, codec=HalfMasks())
    with pytest.raises(ValueError, match="`found`.* 1 for 2 images"):
        seeing.mask_pixels(images, [Segmentations()])
    assert tasks.caption([]) == tasks.detect([], "cat") == []
