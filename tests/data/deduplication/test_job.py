"""`deduplicate`: files in, files out, interruptions, faults."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

from keras_paligemma.data.deduplication import Limits
from keras_paligemma.data.deduplication import deduplicate
from keras_paligemma.data.deduplication import image_embedder
from keras_paligemma.data.deduplication import job
from tests.data.deduplication.pictures import jpeg
from tests.data.deduplication.pictures import picture
from tests.data.deduplication.pictures import write_records

pytest.importorskip("faiss")

# Rows of the data that are copies, and of which protected picture.
COPIES = {3: 0, 7: 1, 12: 2, 20: 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    protected = {f"t{i}.png": picture(1000 + i) for i in range(4)}
    write_records(root / "transfer" / "transfer.jsonl", protected)
    images = {f"p{i}.png": picture(i) for i in range(24)}
    changes = (
        lambda image: image.resize((50, 70)),
        lambda image: jpeg(image, 30),
        ImageOps.mirror,
        lambda image: image.crop((5, 5, 96, 96)),
    )
    for row, reference in COPIES.items():
        images[f"p{row}.png"] = changes[reference](picture(1000 + reference))
    write_records(root / "pretrain" / "pretrain.jsonl", images, suffix="é")
    return root


def inputs(folder):
    return {
        "against": folder / "transfer" / "transfer.jsonl",
        "data": folder / "pretrain" / "pretrain.jsonl",
    }


def run(folder, out, **options):
    return deduplicate(
        **{**inputs(folder), "out": out, "progress": False, **options}
    )


def read_lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


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


def outputs(out):
    report = out.with_suffix(".report")
    return out.read_bytes(), (report / "removed.jsonl").read_bytes()


def test_workers_and_chunks_change_nothing(folder, tmp_path):
    results = []
    for workers, chunk_size in ((1, 1000), (4, 1000), (4, 3), (1, 1)):
        out = tmp_path / f"{workers}-{chunk_size}.jsonl"
        run(folder, out, workers=workers, chunk_size=chunk_size)
        results.append(outputs(out))
    assert results[1:] == results[:1] * 3


def test_an_interrupted_job_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "whole.jsonl", chunk_size=4)
    out, done = tmp_path / "clean.jsonl", []

    class Stopped(Exception):
        pass

    def map_some(task, chunks):
        for number, chunk in chunks:
            if len(done) == 3:
                raise Stopped
            task(number, chunk)
            done.append((type(task).__name__, number))
            yield number

    with pytest.raises(Stopped):
        run(folder, out, chunk_size=4, map_tasks=map_some)
    assert not out.exists() and len(done) == 3
    monkeypatch.setattr(job, "_map_here", record_into(done))
    run(folder, out, chunk_size=4)
    # One chunk of protected images and six of data, each done once.
    assert len(done) == len(set(done)) == 7
    assert outputs(out) == outputs(tmp_path / "whole.jsonl")


def record_into(done):
    def map_all(task, chunks):
        for number, chunk in chunks:
            task(number, chunk)
            done.append((type(task).__name__, number))
            yield number

    return map_all


KILLED = """
import sys, time
from keras_paligemma.data.deduplication import deduplicate

def slowly(task, chunks):
    for number, chunk in chunks:
        task(number, chunk)
        yield number
        time.sleep(0.2)

deduplicate(*sys.argv[1:4], chunk_size=2, map_tasks=slowly, progress=False)
"""


def test_a_killed_job_goes_on(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    words = [*map(str, inputs(folder).values()), str(out)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *words])
    work = tmp_path / "clean.report" / "work"
    limit = time.monotonic() + 60
    while not list(work.glob("matches-*")) and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = list(work.glob("matches-*.json"))
    assert 1 <= len(found) < 12 and not out.exists()
    run(folder, out, chunk_size=2)
    assert not work.exists()
    run(folder, tmp_path / "whole.jsonl", chunk_size=2)
    assert outputs(out) == outputs(tmp_path / "whole.jsonl")


@pytest.mark.parametrize(
    "change, name",
    [
        ({"limits": Limits(whole=40)}, "limits"),
        ({"chunk_size": 6}, "chunk_size"),
        ({"on_error": "raise"}, "on_error"),
        ({"embed_name": "other"}, "embeddings"),
    ],
)
def test_another_jobs_work_is_not_taken_over(folder, tmp_path, change, name):
    def stop(task, chunks):
        raise KeyboardInterrupt

    out = tmp_path / "clean.jsonl"
    options = {"chunk_size": 4, "on_error": "skip"}
    with pytest.raises(KeyboardInterrupt):
        run(folder, out, **options, map_tasks=stop)
    with pytest.raises(ValueError, match=f"Received: {name}=") as error:
        run(folder, out, **{**options, **change})
    assert str(tmp_path / "clean.report" / "work") in str(error.value)
    assert not out.exists()


def test_a_job_that_met_a_fault_may_go_on_and_skip_it(tmp_path):
    path = write_records(
        tmp_path / "d" / "data.jsonl",
        {f"{i}.png": picture(i) for i in range(3)},
    )
    (path.parent / "1.png").write_text("no image")
    out = tmp_path / "clean.jsonl"
    options = {"chunk_size": 1, "progress": False}
    against = write_records(tmp_path / "t" / "t.jsonl", {"t.png": picture(2)})
    with pytest.raises(ValueError, match=r"data\.jsonl:2: "):
        deduplicate(against, path, out, **options)
    summary = deduplicate(against, path, out, on_error="skip", **options)
    assert read_lines(out) == [{"image": "0.png"}]
    assert (summary["skipped"], summary["removed"]) == (1, 1)


def test_a_second_job_of_the_same_name_looks_anew(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    assert run(folder, out)["removed"] == 4
    other = write_records(tmp_path / "t" / "t.jsonl", {"x.png": picture(5)})
    assert run(folder, out, against=other)["removed"] == 1
    assert (
        read_lines(tmp_path / "clean.report" / "removed.jsonl")[0]["line"] == 6
    )


def test_faults_are_skipped_and_counted_or_name_file_and_line(tmp_path):
    path = write_records(
        tmp_path / "d" / "data.jsonl",
        {"a.png": picture(1), "b.png": picture(2)},
    )
    (path.parent / "text.png").write_text("no image")
    whole = (path.parent / "b.png").read_bytes()
    (path.parent / "cut.png").write_bytes(whole[: len(whole) // 2])
    faults = {
        3: b'{"image": "text.png"}\n',
        4: b"\n",
        5: b'{"image": "cut.png"}\n',
        6: b'{"image": "gone.png"}\n',
        7: b'{"suffix": "no image"}\n',
        8: b"{\n",
        9: b'{"image": "../secret.png"}\n',
        10: b'{"image": "https://example.com/1.png"}\n',
        11: b'{"image": 7}\n',
        12: b'["a.png"]\n',
        13: b'{"image": ["a.png", "gone.png"]}\n',
    }
    good = path.read_bytes()
    last = b'{"image": "b.png"}'  # And no end of line.
    path.write_bytes(good + b"".join(faults.values()) + last)
    against = write_records(tmp_path / "t" / "t.jsonl", {"t.png": picture(1)})
    out = tmp_path / "clean.jsonl"
    options = {"against": against, "data": path, "out": out, "progress": False}
    summary = deduplicate(**options, on_error="skip", chunk_size=4)
    assert out.read_bytes() == good.splitlines(keepends=True)[1] + last
    assert summary["skipped"] == 10 and summary["removed"] == 1
    assert summary["records"] == 13 == 2 + 1 + 10
    assert summary["skipped_by_reason"] == {
        "unreadable image": 4,
        "missing field": 2,
        "bad JSON": 1,
        "refused path": 2,
        "wrong field": 1,
    }
    rows = read_lines(tmp_path / "clean.report" / "skipped.jsonl")
    assert [row["line"] for row in rows] == [n for n in faults if n != 4]
    for row in rows:
        assert f"data.jsonl:{row['line']}" in row["message"]
    for number, line in faults.items():
        if number == 4:
            continue
        path.write_bytes(good + line)
        with pytest.raises(ValueError, match=r"data\.jsonl:3: "):
            deduplicate(**options, report=tmp_path / f"r{number}")
    assert out.read_bytes() == good.splitlines(keepends=True)[1] + last


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


def test_embeddings_find_what_hashes_do_not(folder, tmp_path):
    def encode(pixels):  # Mean colours, which rotating does not change.
        return pixels.mean(axis=(1, 2))[:, None]

    rotated = {"r.png": picture(1000).rotate(90)}
    data = write_records(tmp_path / "d" / "data.jsonl", rotated)
    out = tmp_path / "clean.jsonl"
    options = {"data": data, "limits": Limits(embedding=0.9999)}
    assert run(folder, out, **options)["removed"] == 0
    embed = image_embedder(encode, 32)
    summary = run(folder, out, **options, embed=embed)
    assert summary["removed_by_measure"]["embedding"] == 1
    (row,) = read_lines(tmp_path / "clean.report" / "removed.jsonl")
    assert os.path.basename(row["duplicate_of"]) == "t0.png"


def test_the_embedder_pools_and_normalises_in_batches_of_one_size():
    shapes = []

    def encode(pixels):
        shapes.append(pixels.shape)
        assert pixels.dtype == np.float32
        assert -1 <= pixels.min() and pixels.max() <= 1
        return pixels[:, ::4, ::4].reshape(len(pixels), -1, 3)

    images = [picture(seed) for seed in range(18)]
    vectors = image_embedder(encode, 16)(images)
    assert set(shapes) == {(16, 16, 16, 3)} and vectors.shape == (18, 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    alone = image_embedder(encode, 16)(images[17:])
    np.testing.assert_array_equal(alone[0], vectors[17])
    with pytest.raises(ValueError, match="Received: shape="):
        image_embedder(lambda pixels: pixels[:, 0, 0], 16)(images)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"on_error": "ignore"}, "Received: on_error='ignore'"),
        ({"workers": 0}, "Received: workers=0"),
        ({"chunk_size": 0}, "Received: chunk_size=0"),
        ({"against": []}, "`against` must name"),
        ({"out": "pretrain"}, "Received the folder"),
        ({"out": "pretrain/pretrain.jsonl"}, "must not be one of the inputs"),
        ({"data": ["pretrain", "x/pretrain"]}, "must have different names"),
    ],
)
def test_wrong_arguments(folder, tmp_path, monkeypatch, options, text):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match=text):
        run(folder, **{"out": tmp_path / "clean.jsonl", **options})


def test_missing_and_empty_inputs(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    with pytest.raises(FileNotFoundError, match="gone.jsonl"):
        run(folder, out, data=tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ValueError, match="there is no record"):
        run(folder, out, against=tmp_path / "empty.jsonl")
