"""`deduplicate`: faulty records and wrong arguments."""

import pytest

from keras_paligemma.data.deduplication import deduplicate
from tests.data.deduplication.jobs import read_lines
from tests.data.deduplication.jobs import run
from tests.data.deduplication.pictures import picture
from tests.data.deduplication.pictures import write_records

pytest.importorskip("faiss")


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
