import copy
import json

import numpy as np
import pytest
from PIL import Image

from keras_paligemma.data.readers.coco import read_coco_captions
from keras_paligemma.data.readers.coco import read_coco_detection
from keras_paligemma.data.readers.coco import read_coco_instances
from keras_paligemma.data.readers.vqa import read_vqa

IMAGES = [
    {"id": 7, "file_name": "7.png", "width": 40, "height": 20},
    {"id": 8, "file_name": "8.png", "width": 40, "height": 20},
]
INSTANCES = {
    "images": IMAGES,
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 2,
            "bbox": [10, 5, 20, 10],
            "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]],
        },
        {
            "id": 2,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 40.4, 20],
            "segmentation": {"counts": [0, 800], "size": [20, 40]},
        },
        {"id": 3, "image_id": 7, "category_id": 1, "iscrowd": 1},
    ],
}


class CornerCodec:
    """Codes each mask as 16 times the number of whole crops."""

    def encode(self, crops):
        assert crops.shape[1:] == (64, 64)
        return np.full((len(crops), 16), 5)


@pytest.fixture
def write(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "7.png")

    def write_file(data, name="data.json"):
        path = tmp_path / name
        path.write_text(json.dumps(data))
        return path

    return write_file


def test_captions_of_an_image_are_choices(write, tmp_path):
    annotations = [
        {"id": i, "image_id": 7, "caption": f" caption {i} "} for i in range(3)
    ]
    path = write({"images": IMAGES, "annotations": annotations})
    (record,) = read_coco_captions(path, tmp_path)
    assert record.prefix == "caption en"
    assert record.choices == ("caption 0", "caption 1", "caption 2")
    assert record.raw()["images"].size == (40, 20)
    with pytest.raises(ValueError, match="language='xq'"):
        read_coco_captions(path, tmp_path, language="xq")


def test_boxes_become_a_detection_suffix(write, tmp_path):
    (record,) = read_coco_detection(write(INSTANCES), tmp_path)
    assert record.prefix == "detect dog ; cat"
    # 1023/4 = 255.75, 1023*3/4 = 767.25; what stands out a little is cut.
    assert record.suffix == (
        "<loc0256><loc0256><loc0767><loc0767> dog ; "
        "<loc0000><loc0000><loc1023><loc1023> cat"
    )
    assert [thing.box.label for thing in record.objects] == ["dog", "cat"]


def test_masks_become_a_segmentation_suffix(write, tmp_path):
    records = read_coco_instances(write(INSTANCES), tmp_path, CornerCodec())
    record = records[0]
    codes = "<seg005>" * 16
    assert record.prefix == "segment dog ; cat"
    dog, cat = record.suffix.split(" ; ")
    assert dog.endswith(f"{codes} dog")
    assert cat == f"<loc0000><loc0000><loc1023><loc1023>{codes} cat"
    mask = record.objects[0].mask
    assert mask.shape == (20, 40)
    assert mask[6:14, 11:29].all() and not mask[:4].any()


@pytest.mark.parametrize(
    "field, value, match",
    [
        ("bbox", [30, 5, 20, 10], "annotation 1: a box must"),
        ("bbox", [10, 5, -20, 10], "annotation 1: a box must"),
        ("bbox", [10, 5, float("nan"), 10], "annotation 1: a box must"),
        ("bbox", [10, 5], "annotation 1: a box must"),
        ("bbox", None, "annotation 1: .*'bbox'"),
        ("bbox", ["10", 5, 20, 10], "annotation 1: a box must"),
        ("category_id", 9, "annotation 1: .*category 9"),
        ("category_id", [2], "annotation 1: .*'category_id' must"),
        ("image_id", 99, "annotation 1: .*image_id=99"),
        ("image_id", None, "annotation 1: .*'image_id'"),
        ("image_id", [7], "annotation 1: .*'image_id' must"),
    ],
)
def test_faulty_boxes(write, tmp_path, field, value, match):
    data = copy.deepcopy(INSTANCES)
    data["annotations"][0][field] = value
    del data["annotations"][1:]
    data["annotations"].append(
        {"id": 4, "image_id": 8, "category_id": 1, "bbox": [0, 0, 9, 9]}
    )
    path = write(data)
    with pytest.raises(ValueError, match=match):
        read_coco_detection(path, tmp_path)
    records = read_coco_detection(path, tmp_path, on_error="skip")
    assert [record.location for record in records] == [f"{path}:image 8"]
    assert sum(records.problems.counts.values()) == 1


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3]],
        [],
        [["1", 2, 3, 4, 5, 6]],
        [[float("nan"), 2, 3, 4, 5, 6]],
        "abc",
        {"counts": [0, 4], "size": [2, 2]},
        {"counts": "zz", "size": [20, 40]},
        {"size": [20, 40]},
    ],
)
def test_a_faulty_mask_is_named(write, tmp_path, segmentation):
    data = copy.deepcopy(INSTANCES)
    data["annotations"][0]["segmentation"] = segmentation
    path = write(data)
    with pytest.raises(ValueError, match="annotation 1: "):
        read_coco_instances(path, tmp_path, CornerCodec())
    # It is found when the file is read, so that skipping counts it.
    with pytest.raises(ValueError, match="'faulty mask': 1"):
        read_coco_instances(path, tmp_path, CornerCodec(), on_error="skip")


def test_a_mask_of_which_nothing_is_left_is_named_when_it_is_drawn(
    write, tmp_path
):
    data = copy.deepcopy(INSTANCES)
    data["annotations"][0]["segmentation"] = [[90, 90, 91, 90, 91, 91]]
    records = read_coco_instances(write(data), tmp_path, CornerCodec())
    with pytest.raises(ValueError, match="annotation 1: .* 0 pixels"):
        records[0]


@pytest.mark.parametrize(
    "key, value, match",
    [
        ("width", "40", "image 7: the height and the width"),
        ("height", 0, "image 7: the height and the width"),
        ("width", None, "image 7: .*'width'"),
        ("id", [7], "images: .*'id' must"),
        ("id", None, "images: .*'id'"),
        ("file_name", 5, "image 7: the name of an image"),
        ("file_name", "../7.png", "image 7: the path of an image"),
        (None, "an image", "images: there must be an object"),
    ],
)
def test_a_faulty_image_is_named_or_skipped(write, tmp_path, key, value, match):
    data = copy.deepcopy(INSTANCES)
    data["annotations"][1]["image_id"] = 8
    if key is None:
        data["images"].insert(0, value)
    else:
        data["images"][0][key] = value
    path = write(data)
    with pytest.raises(ValueError, match=match):
        read_coco_detection(path, tmp_path)
    records = read_coco_detection(path, tmp_path, on_error="skip")
    assert records[-1].prefix == "detect cat"
    assert sum(records.problems.counts.values()) >= 1


@pytest.mark.parametrize("caption", [5, " ", None, ["a cat"]])
def test_a_faulty_caption_is_named_or_skipped(write, tmp_path, caption):
    annotations = [
        {"id": 1, "image_id": 7, "caption": caption},
        {"id": 2, "image_id": 8, "caption": "a dog"},
    ]
    path = write({"images": IMAGES, "annotations": ["none", *annotations]})
    with pytest.raises(ValueError, match="annotation without an id: .*object"):
        read_coco_captions(path, tmp_path)
    path = write({"images": IMAGES, "annotations": annotations})
    with pytest.raises(ValueError, match="annotation 1: .*'caption'"):
        read_coco_captions(path, tmp_path)
    (record,) = read_coco_captions(path, tmp_path, on_error="skip")
    assert record.suffix == "a dog"


def test_a_file_of_another_form(write, tmp_path):
    with pytest.raises(ValueError, match="without .*'categories'"):
        read_coco_detection(write({"images": [], "annotations": []}), tmp_path)
    with pytest.raises(ValueError, match="image_id=99"):
        faulty = {"images": IMAGES, "annotations": [{"id": 1, "image_id": 99}]}
        read_coco_captions(write(faulty), tmp_path)


def test_vqa(write, tmp_path):
    questions = write(
        {
            "questions": [
                {"question_id": 1, "image_id": 7, "question": "how many?"},
                {"question_id": 2, "image_id": 7, "question": "where?"},
            ]
        }
    )
    answers = write(
        {
            "annotations": [
                {
                    "question_id": 1,
                    "multiple_choice_answer": "2",
                    "answers": [{"answer": "2"}, {"answer": "two"}],
                }
            ]
        },
        "answers.json",
    )
    arguments = (questions, answers, tmp_path, "{image_id}.png")
    with pytest.raises(ValueError, match="question 2: there is no answer"):
        read_vqa(*arguments)
    records = read_vqa(*arguments, on_error="skip")
    assert records.problems.counts == {"missing field": 1}
    (record,) = records
    assert record.prefix == "answer en how many?"
    assert record.choices == ("2", "two")
    assert record.raw()["images"].size == (40, 20)
    common = read_vqa(*arguments, all_answers=False, on_error="skip")
    assert (common[0].suffix, common[0].choices) == ("2", ())


@pytest.mark.parametrize(
    "question, answer, match",
    [
        ({"question": 5}, {}, "question 1: .*'question' must be a text"),
        ({"question": " "}, {}, "question 1: .*'question' must be a text"),
        ({"question_id": [1]}, {}, "'question_id' must be a number"),
        ({"image_id": "7"}, {}, "question 1: the name of an image's file"),
        ({}, {"answers": [{"answer": 2}]}, "question 1: .*'answer' must"),
        ({}, {"answers": ["2"]}, "question 1: .*an object with .*'answer'"),
        ({}, {"answers": "2"}, "question 1: .*an object with .*'answer'"),
        ({}, {"question_id": [1]}, "answers.json: .*'question_id' must"),
        (None, {}, "data.json: there must be an object"),
        ({}, None, "answers.json: there must be an object"),
    ],
)
def test_faulty_questions_and_answers(write, tmp_path, question, answer, match):
    def changed(entry, change):
        return 3 if change is None else {**entry, **change}

    asked = {"question_id": 1, "image_id": 7, "question": "how many?"}
    given = {"question_id": 1, "answers": [{"answer": "2"}]}
    second = {"question_id": 2}
    questions = write(
        {"questions": [changed(asked, question), {**asked, **second}]}
    )
    answers = write(
        {"annotations": [changed(given, answer), {**given, **second}]},
        "answers.json",
    )
    arguments = (questions, answers, tmp_path, "{image_id:d}.png")
    with pytest.raises(ValueError, match=match):
        read_vqa(*arguments)
    records = read_vqa(*arguments, on_error="skip")
    assert [record.location for record in records] == [
        f"{questions}:question 2"
    ]
    assert records.problems.counts
