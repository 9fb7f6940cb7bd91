"""`deduplicate`: files in, files out."""

import json
import os

import pytest
from PIL import Image

from keras_paligemma.data.deduplication import deduplicate
from tests.data.deduplication.jobs import COPIES
from tests.data.deduplication.jobs import inputs
from tests.data.deduplication.jobs import outputs
from tests.data.deduplication.jobs import read_lines
from tests.data.deduplication.jobs import run
from tests.data.deduplication.pictures import picture
from tests.data.deduplication.pictures import write_records

pytest.importorskip("faiss")


def test_copies_go_and_the_other_lines_keep_their_bytes(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    summary = run(folder, out, chunk_size=5)
    lines = inputs(folder)["data"].read_bytes().splitlines(keepends=True)
    kept = [line for i, line in enumerate(lines) if i not in COPIES]
    assert out.read_bytes() == b"".join(kept)
    assert (summary["records"], summary["kept"], summary["removed"]) == (
        24,
        20,
        4,
    )
    assert summary["against_images"] == 4 and summary["skipped"] == 0
    report = tmp_path / "clean.report"
    assert json.loads((report / "report.json").read_text()) == summary
    removed = read_lines(report / "removed.jsonl")
    assert [row["line"] - 1 for row in removed] == list(COPIES)
    names = [os.path.basename(row["duplicate_of"]) for row in removed]
    assert names == [f"t{i}.png" for i in COPIES.values()]
    assert [row["mirrored"] for row in removed] == [False, False, True, False]
    assert removed[2]["distance"] <= 1 and removed[3]["measure"] == "crop"
    with Image.open(report / "pairs.png") as sheet:
        assert sheet.width > 256
    left = {path.name for path in report.iterdir()}
    assert left == {
        "report.json",
        "removed.jsonl",
        "skipped.jsonl",
        "pairs.png",
    }


def test_workers_and_chunks_change_nothing(folder, tmp_path):
    results = []
    for workers, chunk_size in ((1, 1000), (4, 1000), (4, 3), (1, 1)):
        out = tmp_path / f"{workers}-{chunk_size}.jsonl"
        run(folder, out, workers=workers, chunk_size=chunk_size)
        results.append(outputs(out))
    assert results[1:] == results[:1] * 3


def test_a_second_job_of_the_same_name_looks_anew(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    assert run(folder, out)["removed"] == 4
    other = write_records(tmp_path / "t" / "t.jsonl", {"x.png": picture(5)})
    assert run(folder, out, against=other)["removed"] == 1
    assert (
        read_lines(tmp_path / "clean.report" / "removed.jsonl")[0]["line"] == 6
    )


def test_an_image_of_several_records_and_records_of_several(tmp_path):
    path = write_records(
        tmp_path / "d" / "data.jsonl",
        {f"{i}.png": picture(i) for i in range(3)},
    )
    lines = [
        {"image": "1.png", "suffix": "first"},
        {"image": "2.png"},
        {"image": ["0.png", "2.png"]},
        {"image": ["0.png", "1.png"]},
        {"image": "1.png", "suffix": "again"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    against = tmp_path / "t"
    against.mkdir()
    picture(1).save(against / "one.jpg")
    out = tmp_path / "clean.jsonl"
    summary = deduplicate(against, path, out, progress=False)
    assert read_lines(out) == lines[1:3]
    assert summary["removed"] == 3
    removed = read_lines(tmp_path / "clean.report" / "removed.jsonl")
    assert [row["line"] for row in removed] == [1, 4, 5]


def test_several_inputs_and_folders(folder, tmp_path):
    images = tmp_path / "more"
    images.mkdir()
    picture(1003).save(images / "copy.png")
    picture(77).save(images / "other.png")
    picture(1).save(tmp_path / "second.png")
    (tmp_path / "second.jsonl").write_text('{"image": "second.png"}\n')
    summary = deduplicate(
        [inputs(folder)["against"], tmp_path / "second.jsonl"],
        [inputs(folder)["data"], images],
        tmp_path / "clean",
        progress=False,
    )
    assert summary["removed"] == 6 and summary["kept"] == 20
    assert len(read_lines(tmp_path / "clean" / "pretrain.jsonl")) == 19
    kept = read_lines(tmp_path / "clean" / "more.jsonl")
    assert kept == [{"image": "other.png"}]


def test_images_below_another_folder(folder, tmp_path):
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(inputs(folder)["data"].read_bytes())
    out = tmp_path / "clean.jsonl"
    summary = run(folder, out, data=moved, data_root=folder / "pretrain")
    assert summary["removed"] == 4


def test_tiny_and_even_images_are_kept(tmp_path):
    images = {
        "dot.png": Image.new("RGB", (1, 1), "red"),
        "even.png": Image.new("RGB", (30, 40), "white"),
        "grey.png": Image.new("L", (1, 200), 7),
    }
    data = write_records(tmp_path / "d" / "data.jsonl", images)
    protected = write_records(
        tmp_path / "t" / "t.jsonl", {"even.png": Image.new("RGB", (9, 9))}
    )
    out = tmp_path / "clean.jsonl"
    assert deduplicate(protected, data, out, progress=False)["kept"] == 3
