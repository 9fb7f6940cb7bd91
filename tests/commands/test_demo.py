"""`keras-paligemma demo` on a tiny preset."""

import re

import pytest
from PIL import Image

from keras_paligemma import cli
from tests import tiny_preset


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("preset") / "tiny"
    tiny_preset.tiny_model().save_to_preset(str(directory))
    return str(directory)


def test_all_seven_tasks_of_a_drawn_scene(preset, tmp_path, capsys):
    out = tmp_path / "out" / "demo.png"
    assert cli.main(["demo", "--preset", preset, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for word in ("caption en", "caption de", "ocr", "answer en", "question en"):
        assert word in printed
    assert "detect " in printed and "segment " in printed
    with Image.open(out) as picture:
        assert picture.width > 900


def test_the_shipped_model_sees_the_drawn_scene(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "demo.png")]) == 0
    printed = capsys.readouterr().out
    (prompt,) = re.findall(r"detect ([a-z ;]+) ", printed)
    (caption,) = re.findall(r"caption en\W+(\w.*?)  ", printed)
    assert any(kind in caption for kind in prompt.split(" ; "))


def test_an_image_and_words_of_ones_own(preset, tmp_path, capsys):
    (path, _) = tiny_preset.save_images(tmp_path)
    out = tmp_path / "demo.png"
    words = ["demo", "--preset", preset, "--image", path, "--out", str(out)]
    words += ["--things", "cat", "--question", "is it a cat?"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "detect cat" in printed and "is it a cat?" in printed
    assert out.exists()


def test_a_missing_image_is_one_line_and_exit_code_2(preset, capsys):
    assert cli.main(["demo", "--preset", preset, "--image", "no.png"]) == 2
    error = capsys.readouterr().err
    assert "image=no.png" in error and error.count("\n") == 1
