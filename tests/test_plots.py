"""Pictures: what they show, read back from matplotlib's own objects."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from keras_paligemma import cli
from keras_paligemma import plots
from keras_paligemma.training import STAGE_1
from keras_paligemma.training import STAGE_2_448
from keras_paligemma.training import STAGE_2_896

pytest.importorskip("matplotlib")


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, in place of those that are lost."""
    drawn = []
    save = plots._save

    def keep(figure, path):
        drawn.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return drawn


def texts_overlap(figure):
    """Pairs of tick labels of one axis that lie on each other."""
    figure.canvas.draw()
    found = []
    for panel in figure.axes:
        for axis in (panel, *panel.child_axes):
            boxes = [
                (label.get_text(), label.get_window_extent())
                for label in axis.get_xticklabels()
                if label.get_text() and label.get_visible()
            ]
            found += [
                (a, b)
                for (a, one), (b, two) in zip(boxes, boxes[1:], strict=False)
                if one.x0 < two.x0 and one.overlaps(two)
            ]
    return found


@pytest.mark.parametrize("log_rate", [False, True])
def test_schedules_show_every_stage_and_component(tmp_path, figures, log_rate):
    stages = [STAGE_1, STAGE_2_448, STAGE_2_896]
    path = tmp_path / "new" / "rates.png"
    plots.plot_schedules(stages, path, log_rate=log_rate, points=50)
    (figure,) = figures
    assert np.asarray(Image.open(path)).std() > 10
    assert [file.name for file in path.parent.iterdir()] == ["rates.png"]
    assert len(figure.axes) == 3
    for panel, stage in zip(figure.axes, stages, strict=True):
        assert stage.name in panel.get_title()
        assert f"{stage.image_size} px" in panel.get_title()
        assert len(panel.lines) == 2
        (steps,) = panel.child_axes
        assert f"{stage.batch_size:,}" in steps.get_xlabel()
        assert panel.get_yscale() == ("log" if log_rate else "linear")
    labels = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert labels == ["image_encoder", "projector, embedding, decoder"]
    # Examples go on from panel to panel.
    ends = [panel.get_xlim() for panel in figure.axes]
    assert ends[0][0] == 0 and ends[0][1] == ends[1][0]
    assert not texts_overlap(figure)


def test_frozen_components_are_named(tmp_path, figures):
    arguments = ["plot", "schedules", "--recipe", "msrvtt_cap"]
    arguments += ["--examples-per-epoch", "1000"]
    path = str(tmp_path / "rates.svg")
    assert cli.main([*arguments, "--out", path]) == 0
    (panel,) = figures[0].axes
    written = [text.get_text() for text in panel.texts]
    assert written == ["frozen: image_encoder, projector"]


def write_log(path, seed):
    generator = np.random.default_rng(seed)
    rows = [
        {"step": step, "rate": 1e-5, "loss": float(generator.uniform())}
        for step in range(0, 1000, 100)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path), [row["loss"] for row in rows]


def test_log_draws_the_loss_of_each_run_first(tmp_path, figures, capsys):
    one, losses = write_log(tmp_path / "a" / "log.jsonl", 0)
    two, others = write_log(tmp_path / "b" / "log.jsonl", 1)
    out = str(tmp_path / "log.png")
    assert cli.main(["plot", "log", one, two, "--out", out]) == 0
    assert capsys.readouterr().out == out + "\n"
    (figure,) = figures
    loss, rate = figure.axes
    assert loss.get_title(loc="left") == "loss"
    assert rate.get_title(loc="left") == "rate"
    assert loss.lines[0].get_ydata().tolist() == losses
    assert loss.lines[1].get_ydata().tolist() == others
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "a/log",
        "b/log",
    ]
    assert not texts_overlap(figure)


@pytest.mark.parametrize(
    "words, said",
    [
        (["log", "LOG", "--series", "absent"], "absent"),
        (["log", "LOG", "--out", "picture.word"], "picture.word"),
        (["log", "nowhere.jsonl"], "nowhere.jsonl"),
        (["schedules", "--recipe", "vqav2"], "--examples-per-epoch"),
        (["schedules", "--recipe", "chess"], "task=chess"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path, capsys, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    log, _ = write_log(tmp_path / "log.jsonl", 0)
    words = [log if word == "LOG" else word for word in words]
    if "--out" not in words:
        words += ["--out", "picture.png"]
    assert cli.main(["plot", *words]) == 2
    assert said in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    log, _ = write_log(tmp_path / "log.jsonl", 0)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"keras-paligemma\[plots\]"):
        plots.plot_log(log, tmp_path / "log.png")
