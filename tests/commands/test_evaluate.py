"""`keras-paligemma evaluate` on a tiny preset."""

import json

import pytest
from PIL import Image

from keras_paligemma import cli
from tests import tiny_preset


@pytest.fixture(scope="module")
def model():
    return tiny_preset.tiny_model()


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("preset") / "tiny"
    model.save_to_preset(str(directory))
    return str(directory)


@pytest.fixture(scope="module")
def data(model, tmp_path_factory):
    """Captions, of which the first is what the model says; one detection."""
    folder = tmp_path_factory.mktemp("data")
    images = tiny_preset.save_images(folder)
    said = model.generate(
        {"images": [images[0]], "prompts": ["caption en"]},
        max_length=8,
        strip_prompt=True,
    )[0]
    lines = [
        {"image": "cat.png", "prefix": "caption en", "suffix": said},
        {"image": "coffee.png", "prefix": "detect cat", "suffix": ""},
        {"image": "coffee.png", "prefix": "caption en", "suffix": "never said"},
    ]
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def words(preset, task, *more):
    return ["evaluate", "--preset", preset, "--task", task, *more]


def test_a_file_of_several_tasks(preset, data, tmp_path, capsys):
    report, rows = tmp_path / "out/report.json", tmp_path / "rows.jsonl"
    sheet = tmp_path / "sheet.png"
    arguments = words(preset, "caption", "--data", data, "--max-length", "8")
    arguments += ["--out", str(report), "--predictions", str(rows)]
    assert cli.main([*arguments, "--pictures", str(sheet)]) == 0
    facts = json.loads(report.read_text())
    assert facts["count"] == 2
    assert facts["metrics"] == {"exact_match": 0.5}
    assert facts["task"] == "caption" and facts["preset"] == preset
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [line["exact_match"] for line in lines] == [True, False]
    assert lines[0]["expected"] == lines[0]["predicted"]
    with Image.open(sheet) as picture:
        assert picture.width > 600
    printed = capsys.readouterr().out
    assert "exact_match" in printed and "0.5000" in printed


def test_boxes_of_the_synthetic_world_come_with_scores(preset, tmp_path):
    rows = tmp_path / "rows.jsonl"
    arguments = words(preset, "detect", "--synthetic", "3", "--count", "3")
    arguments += ["--image-size", "70", "--batch-size", "3"]
    arguments += ["--max-length", "32", "--predictions", str(rows)]
    assert cli.main(arguments) == 0
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(lines) == 3
    assert lines[0]["location"] == "synthetic/test:0"
    for line in lines:
        # Under the grammar an output always has the form of the task.
        assert line["problems"] == []
        assert all(0 <= box[-1] <= 1 for box in line["boxes"])


def test_masks_are_measured_with_a_codec(preset, tmp_path):
    report = tmp_path / "report.json"
    arguments = words(preset, "segment", "--synthetic", "3", "--count", "2")
    arguments += ["--image-size", "70", "--batch-size", "2"]
    arguments += ["--max-length", "64", "--codec", "shipped"]
    assert cli.main([*arguments, "--out", str(report)]) == 0
    found = json.loads(report.read_text())
    assert (found["count"], found["codec"]) == (2, "shipped")
    assert found["unparsable"] == 0
    assert 0 <= found["metrics"]["mean_iou"] <= 1


@pytest.mark.parametrize(
    "task, more, said",
    [
        ("ocr", [], "records of caption, detect"),
        ("segment", [], "--codec shipped"),
        ("segment", ["--codec", "/no/such.npz"], "/no/such.npz"),
        ("caption", ["--preset", "/no/such/place"], "/no/such/place"),
        ("caption", ["--data", "/no/such.jsonl"], "/no/such.jsonl"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    preset, data, capsys, task, more, said
):
    assert cli.main(words(preset, task, "--data", data, *more)) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_an_unknown_language_is_named(preset, capsys):
    arguments = words(preset, "caption", "--synthetic", "0")
    arguments += ["--image-size", "64", "--languages", "xx"]
    assert cli.main(arguments) == 2
    assert "language='xx'" in capsys.readouterr().err


def test_one_source_must_be_given(preset, data, capsys):
    for more in ([], ["--data", data, "--synthetic", "1"]):
        with pytest.raises(SystemExit) as raised:
            cli.main(words(preset, "caption", *more))
        assert raised.value.code == 2
    assert "--synthetic" in capsys.readouterr().err
