import json

import pytest

from keras_paligemma.training.workdir import Workdir

RUN = {"stage": "flowers", "seed": 0, "rates": (("a", None),)}


def test_claims_a_new_folder_and_knows_it_again(tmp_path):
    workdir = Workdir(tmp_path / "runs" / "flowers")
    workdir.claim(RUN)
    workdir.claim(RUN)
    assert json.loads((workdir.path / "run.json").read_text())["seed"] == 0
    assert [path.name for path in workdir.path.iterdir()] == ["run.json"]


def test_refuses_the_folder_of_another_run(tmp_path):
    Workdir(tmp_path).claim(RUN)
    with pytest.raises(
        ValueError, match="another run.*Received: seed is 0 there and 1 here$"
    ):
        Workdir(tmp_path).claim({**RUN, "seed": 1})
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 0


def test_refuses_a_folder_with_other_files(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="new or empty folder"):
        Workdir(tmp_path).claim(RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_names_a_damaged_run_file(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match="run.json is not JSON"):
        Workdir(tmp_path).claim(RUN)
