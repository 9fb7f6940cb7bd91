"""Files of the wrong shape are named, or skipped and counted."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_paligemma.data import Mixture
from keras_paligemma.data import read_coco_captions
from keras_paligemma.data import read_coco_detection
from keras_paligemma.data import read_jsonl
from keras_paligemma.data import read_vqa
from keras_paligemma.data.image_decoding import UnreadableImageError
from keras_paligemma.data.image_decoding import decode_image

IMAGE = {"id": 7, "file_name": "a.png", "height": 20, "width": 40}
CAPTION = {"id": 1, "image_id": 7, "caption": "a cat"}


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    return tmp_path


def write(folder, name, value):
    path = folder / name
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    "images, annotations, said",
    [
        ([IMAGE, "b.png"], [CAPTION], "images"),
        ([IMAGE], [CAPTION, "a dog"], "annotation"),
        ([IMAGE], [CAPTION, {**CAPTION, "image_id": [7]}], "image_id"),
        ([IMAGE], [CAPTION, {**CAPTION, "image_id": 99}], "image_id=99"),
    ],
)
def test_a_faulty_row_of_coco(folder, images, annotations, said):
    path = write(
        folder, "c.json", {"images": images, "annotations": annotations}
    )
    with pytest.raises(ValueError, match=said):
        read_coco_captions(path, folder)
    records = read_coco_captions(path, folder, on_error="skip")
    assert [record.suffix for record in records] == ["a cat"]
    assert sum(records.problems.counts.values()) == 1


@pytest.mark.parametrize("caption", [3, None, ["a cat"]])
def test_a_caption_that_is_no_text(folder, caption):
    rows = {"images": [IMAGE], "annotations": [{**CAPTION, "caption": caption}]}
    with pytest.raises(ValueError, match="annotation 1"):
        read_coco_captions(write(folder, "c.json", rows), folder)


@pytest.mark.parametrize("height", [0, -1, "20", 2.5])
def test_an_image_without_a_size(folder, height):
    box = {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 1, 5, 5]}
    rows = {
        "images": [{**IMAGE, "height": height}],
        "annotations": [box],
        "categories": [{"id": 2, "name": "cat"}],
    }
    with pytest.raises(ValueError, match="height"):
        read_coco_detection(write(folder, "d.json", rows), folder)


def test_questions_of_the_wrong_shape(folder):
    question = {"question_id": 1, "image_id": 7, "question": "how many?"}
    answer = {"question_id": 1, "answers": [{"answer": "two"}]}
    questions = write(folder, "q.json", {"questions": [question, 5]})
    answers = write(folder, "a.json", {"annotations": [answer, "two"]})
    arguments = (questions, answers, folder)
    with pytest.raises(ValueError, match="question_id"):
        read_vqa(*arguments, image_name="a.png")
    records = read_vqa(*arguments, image_name="a.png", on_error="skip")
    assert [record.suffix for record in records] == ["two"]
    assert sum(records.problems.counts.values()) == 2


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"prefix": "answer xx how many?"}, "xx"),
        ({"prefix": "detect cat", "suffix": "<loc0001><loc0002> cat"}, "box"),
        ({"prefix": "caption <loc9999><loc0001><loc0002><loc0003>"}, "box"),
        ({"task": 5}, "task"),
    ],
)
def test_a_faulty_line(folder, fields, said):
    good = {"image": "a.png", "prefix": "caption en", "suffix": "a cat"}
    lines = [good, {**good, **fields}]
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = read_jsonl(path, on_error="skip")
    assert len(records) == 1 and records[0].suffix == "a cat"
    with pytest.raises(ValueError, match=f"train.jsonl:2.*{said}"):
        read_jsonl(path)[1]


def test_brackets_without_end_are_a_bad_line(folder):
    path = folder / "deep.jsonl"
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(ValueError, match="deep.jsonl:1"):
        read_jsonl(path)[0]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 4, 3)),
        np.zeros((4, 4, 7)),
        np.full((4, 4, 3), np.nan),
    ],
)
def test_arrays_that_are_no_images(array):
    with pytest.raises(UnreadableImageError):
        decode_image(array)


def test_weights_of_numpy_are_numbers(folder):
    path = folder / "train.jsonl"
    line = {"image": "a.png", "prefix": "caption en", "suffix": "a cat"}
    path.write_text(json.dumps(line) + "\n")
    records = read_jsonl(path)
    mixture = Mixture({"a": (records, np.float32(3)), "b": (records, 1)})
    assert mixture.examples_seen(8) == {"a": 6, "b": 2}
    assert json.dumps(mixture.describe())
