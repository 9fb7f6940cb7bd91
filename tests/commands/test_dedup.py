"""`keras-paligemma dedup`, called in this process and as a pipeline on Ray."""

import json
import sys

import keras
import numpy as np
import pytest

from keras_paligemma import cli
from keras_paligemma.commands.dedup import PresetEmbedder
from tests import tiny_preset
from tests.data.deduplication.pictures import picture
from tests.data.deduplication.pictures import write_records

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    protected = {f"t{i}.png": picture(100 + i) for i in range(2)}
    write_records(root / "t" / "transfer.jsonl", protected)
    images = {f"p{i}.png": picture(i) for i in range(8)}
    images["p2.png"] = picture(101).resize((60, 50))
    write_records(root / "p" / "pretrain.jsonl", images)
    return root


def words(folder, out, *more):
    return [
        "dedup",
        "--against",
        str(folder / "t" / "transfer.jsonl"),
        "--data",
        str(folder / "p" / "pretrain.jsonl"),
        "--out",
        str(out),
        *more,
    ]


def test_the_command_writes_what_stays_and_says_so(folder, tmp_path, capsys):
    out = tmp_path / "clean.jsonl"
    assert cli.main(words(folder, out, "--workers", "2")) == 0
    printed = capsys.readouterr().out
    assert "kept 7 of 8 records, removed 1, skipped 0" in printed
    assert str(tmp_path / "clean.report") in printed
    lines = out.read_text().splitlines()
    names = [json.loads(line)["image"] for line in lines]
    assert names == [f"p{i}.png" for i in range(8) if i != 2]


def test_limits_are_taken(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    strict = ["--whole", "0", "--region", "0", "--regions", "9"]
    assert cli.main(words(folder, out, *strict)) == 0
    report = json.loads((tmp_path / "clean.report/report.json").read_text())
    assert report["settings"]["limits"] == {
        "whole": 0,
        "region": 0,
        "regions": 9,
        "frequencies": 0.995,
        "embedding": 0.95,
    }
    assert report["removed"] <= 1


@pytest.mark.parametrize(
    "more, text",
    [
        (["--whole", "300"], "Received: whole=300"),
        (["--address", "auto"], "--distributed"),
        (["--data", "gone.jsonl"], "gone.jsonl"),
    ],
)
def test_mistakes_are_one_line(folder, tmp_path, capsys, more, text):
    assert cli.main(words(folder, tmp_path / "clean.jsonl", *more)) == 2
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "module, more, extra",
    [("faiss", [], "dedup"), ("ray", ["--distributed"], "distributed")],
)
def test_what_is_not_installed_is_named(
    folder, tmp_path, capsys, monkeypatch, module, more, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(words(folder, tmp_path / "clean.jsonl", *more)) == 2
    assert f"keras-paligemma[{extra}]" in capsys.readouterr().err


def test_embeddings_of_a_preset_are_those_of_its_image_encoder(
    folder, tmp_path
):
    model = tiny_preset.tiny_model()
    preset, exported = str(tmp_path / "preset"), str(tmp_path / "hf")
    model.save_to_preset(preset)
    model.export_to_transformers(exported)
    images = [picture(1, tiny_preset.IMAGE_SIZE), picture(2, 28)]
    pixels = np.stack([np.asarray(i, "float32") / 127.5 - 1 for i in images])
    features = model.backbone.image_encoder(pixels)
    if hasattr(features, "detach"):
        features = features.detach()
    expected = np.asarray(features).mean(axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for path in (preset, exported):
        vectors = PresetEmbedder(path)(images)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
    out = tmp_path / "clean.jsonl"
    limits = ["--embeddings", exported, "--cosine", "0.999999"]
    assert cli.main(words(folder, out, *limits)) == 0
    report = json.loads((tmp_path / "clean.report/report.json").read_text())
    assert report["settings"]["embeddings"] == exported


# Which backend there is makes no difference to it, and starting Ray and its
# processes takes half a minute.
# Ray leaves files and sockets to the garbage collector, and warns of its own
# coming changes.
@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="once is enough, on torch"
)
@pytest.mark.filterwarnings("ignore")
def test_on_ray_the_output_is_the_same(folder, tmp_path):
    pytest.importorskip("ray.data")
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    assert cli.main(words(folder, here, "--chunk-size", "3")) == 0
    more = ["--chunk-size", "3", "--distributed", "--workers", "1"]
    assert cli.main(words(folder, there, *more)) == 0
    assert there.read_bytes() == here.read_bytes()
    removed = [
        (tmp_path / f"{name}.report" / "removed.jsonl").read_bytes()
        for name in ("here", "there")
    ]
    assert removed[0] == removed[1] and removed[0].count(b"\n") == 1
