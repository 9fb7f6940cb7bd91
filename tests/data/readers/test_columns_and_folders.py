import io

import numpy as np
import pytest
from PIL import Image

from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.readers.columns import read_columns
from keras_paligemma.data.readers.folder import read_folder

IMAGE = np.full((4, 6, 3), 9, "uint8")
ROWS = [
    {"image": IMAGE, "question": "how many?", "answer": "2"},
    {"image": IMAGE, "question": b"where?", "answer": np.bytes_(b"here")},
    {"image": IMAGE, "question": "why?", "answer": None},
]


def test_rows_of_dicts_as_tfds_gives_them():
    records = read_columns(
        ROWS, "answer en {question}", "{answer}", source="vqa"
    )
    assert len(records) == 3
    assert records[0].prefix == "answer en how many?"
    assert (records[1].prefix, records[1].suffix) == (
        "answer en where?",
        "here",
    )
    np.testing.assert_array_equal(records[0].raw()["images"], IMAGE)
    with pytest.raises(ValueError, match="vqa:2: .*column 'answer'"):
        records[2]
    mixture = Mixture({"vqa": (records, 1.0)}, on_error="skip")
    mixture.batch(0, 3)
    assert mixture.problems.counts == {"missing field": 1}


def test_lists_are_choices_and_several_images():
    rows = [{"a": IMAGE, "b": IMAGE, "captions": ["x", "y"]}]
    (record,) = read_columns(rows, "caption en", "{captions}", image=("a", "b"))
    assert record.choices == ("x", "y")
    assert len(record.images) == 2


class Dataset:
    """What `datasets.Dataset` offers, counting the images it decodes."""

    decoded = 0

    def __init__(self, rows, column_names):
        self.rows, self.column_names = rows, column_names

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        Dataset.decoded += "image" in self.column_names
        return {name: self.rows[index][name] for name in self.column_names}

    def select_columns(self, names):
        return Dataset(self.rows, names)


def test_hugging_face_images_are_decoded_late():
    data = io.BytesIO()
    Image.fromarray(IMAGE).save(data, "PNG")
    rows = [{"image": {"bytes": data.getvalue(), "path": None}, "text": "hi"}]
    dataset = Dataset(rows, ["image", "text"])
    (record,) = read_columns(dataset, "caption en", "{text}")
    assert (record.suffix, Dataset.decoded) == ("hi", 0)
    assert record.raw()["images"].size == (6, 4)
    assert Dataset.decoded == 1
    with pytest.raises(ValueError, match=r"columns \['label'\]"):
        read_columns(dataset, "caption en", "{label}")


@pytest.mark.parametrize(
    "row, prefix, match",
    [
        ({"question": ["a", "b"]}, "answer en {question}", "hold one text"),
        ({"question": b"\xff"}, "answer en {question}", "must hold UTF-8"),
        ({"question": "x"}, "answer xq {question}", "language='xq'"),
        ({"question": ["a", "b"]}, "{question}", "a prefix must be one text"),
        (None, "answer en {question}", "must be a dict by column"),
    ],
)
def test_faulty_rows_are_named_or_replaced(row, prefix, match):
    faulty = 5 if row is None else {**ROWS[0], **row}
    records = read_columns([faulty], prefix, "{answer}", source="vqa")
    with pytest.raises(ValueError, match=f"vqa:0: .*{match}"):
        records[0]
    good = {**ROWS[0], "question": "how many?"}
    records = read_columns([faulty, good], prefix, "{answer}")
    if "xq" not in prefix:
        mixture = Mixture({"vqa": (records, 1.0)}, on_error="skip")
        assert len(mixture.batch(0, 2)["prompts"]) == 2
        assert sum(mixture.problems.counts.values()) >= 1


def test_a_stream_is_refused():
    with pytest.raises(ValueError, match="generator, without .*'__len__'"):
        read_columns((row for row in ROWS), "caption en", "{answer}")


def test_an_empty_data_set():
    with pytest.raises(ValueError, match="empty"):
        read_columns([], "caption en", "{text}")


def test_labels_from_folders_and_texts(tmp_path):
    for label in ("rose", "tulip"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (3, 2)).save(tmp_path / label / "1.png")
    records = read_folder(tmp_path, prefix="answer en which flower?")
    assert [record.suffix for record in records] == ["rose", "tulip"]
    assert records[0].raw()["images"].size == (3, 2)
    assert [r.suffix for r in read_folder(tmp_path, labels="none")] == ["", ""]

    (tmp_path / "rose" / "1.txt").write_text("a red rose\n")
    with pytest.raises(ValueError, match="tulip/1.png: .*'1.txt'"):
        read_folder(tmp_path)
    records = read_folder(tmp_path, on_error="skip")
    assert [record.suffix for record in records] == ["a red rose"]
    assert records.problems.counts == {"missing field": 1}


def test_folders_that_do_not_serve(tmp_path):
    with pytest.raises(ValueError, match="no usable record"):
        read_folder(tmp_path)
    with pytest.raises(ValueError, match="must be a folder"):
        read_folder(tmp_path / "absent")
    with pytest.raises(ValueError, match="`labels`"):
        read_folder(tmp_path, labels="json")
