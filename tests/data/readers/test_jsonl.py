import http.client
import json
import urllib.error

import pytest
from PIL import Image

from keras_paligemma.data.readers.jsonl import read_jsonl

GOOD = {"image": "1.png", "prefix": "caption en", "suffix": "a cat"}


@pytest.fixture
def write(tmp_path):
    for name in ("1.png", "2.png"):
        Image.new("RGB", (6, 4), "red").save(tmp_path / name)

    def write_lines(*lines):
        path = tmp_path / "train.jsonl"
        texts = [x if isinstance(x, str) else json.dumps(x) for x in lines]
        path.write_text("\n".join(texts), encoding="utf-8")
        return path

    return write_lines


def test_records_are_read(write):
    several = {**GOOD, "image": ["1.png", "2.png"], "suffix": "naïve ☃"}
    path = write(GOOD, "", several, {**GOOD, "suffix": ["a", "b"]})
    records = read_jsonl(path)
    assert len(records) == 3
    assert records[0].location == f"{path}:1"
    raw = records[0].raw()
    assert (raw["prompts"], raw["responses"]) == ("caption en", "a cat")
    assert raw["images"].size == (6, 4)
    assert records[1].location == f"{path}:3"
    assert records[1].suffix == "naïve ☃"
    assert len(records[1].raw()["images"]) == 2
    assert records[-1].choices == ("a", "b")
    assert [r.suffix for r in records[:2]] == ["a cat", "naïve ☃"]


def test_images_are_opened_late_and_named_when_broken(write, tmp_path):
    (tmp_path / "broken.png").write_bytes(
        (tmp_path / "1.png").read_bytes()[:50]
    )
    path = write({**GOOD, "image": "broken.png"}, {**GOOD, "image": "0.png"})
    records = read_jsonl(path)
    for index in range(2):
        with pytest.raises(ValueError, match=rf"jsonl:{index + 1}: the image"):
            records[index].raw()


def test_a_folder_of_images(write, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (3, 3)).save(folder / "3.png")
    path = write({**GOOD, "image": "3.png"})
    records = read_jsonl(path, image_root=folder)
    assert records[0].raw()["images"].size == (3, 3)


FAULTS = [
    ('{"image": ', "bad JSON", "is no JSON"),
    ("[1]", "bad JSON", "must be a JSON object"),
    ({"image": "1.png", "prefix": "x"}, "missing field", "'suffix'"),
    ({**GOOD, "prefix": 3}, "wrong field", "'prefix' must be a text"),
    ({**GOOD, "image": ""}, "wrong field", "not empty"),
    ({**GOOD, "image": "../1.png"}, "refused path", "stay below"),
    ({**GOOD, "image": "a\\..\\..\\1.png"}, "refused path", "stay below"),
    ({**GOOD, "image": "/etc/1.png"}, "refused path", "stay below"),
    ({**GOOD, "image": "C:/1.png"}, "refused path", "stay below"),
    ({**GOOD, "image": "https://a.b/1.png"}, "refused path", "allow_urls"),
    ({**GOOD, "image": "file:///1.png"}, "refused path", "allow_urls"),
    ({**GOOD, "prefix": "caption xq"}, "unknown language", "'xq'"),
    ({**GOOD, "prefix": "caption EN"}, "unknown language", "'EN'"),
    ({**GOOD, "prefix": "answer xq how many?"}, "unknown language", "'xq'"),
    ({**GOOD, "prefix": "question xq 2"}, "unknown language", "'xq'"),
    ({**GOOD, "task": 5}, "wrong field", "'task' must be a text"),
    ("[" * 100_000, "bad JSON", "is no JSON"),
    (
        {
            **GOOD,
            "prefix": "detect cat",
            "suffix": "<loc0900><loc0000><loc0100><loc0500> cat",
        },
        "faulty box",
        "inside out",
    ),
]


BOX = "<loc0000><loc0000><loc0100><loc0500>"
FAULTY_BOXES = {
    "detect cat": [
        "<loc0000><loc0000><loc0100><loc1024> cat",
        "<loc-012><loc0000><loc0100><loc0500> cat",
        "<loc0000><loc0000><loc0100> cat",
        f"{BOX} cat ; <loc0000><loc0000>",
        f"{BOX} cat ; {BOX[:-1]}",
        f"{BOX}<loc0000> cat",
        "<loc0><loc0><loc100><loc500> cat",
    ],
    "segment cat": [
        f"{BOX} cat",
        f"{BOX}{'<seg001>' * 15} cat",
        f"{BOX}{'<seg128>' * 16} cat",
    ],
    "caption <loc0900><loc0000><loc0100><loc0500>": ["a cat"],
    "caption <loc0000><loc0000><loc0100><loc1024>": ["a cat"],
    "caption <loc0000><loc0000><loc0100>": ["a cat"],
}


@pytest.mark.parametrize(
    "prefix, suffix",
    [(p, s) for p, suffixes in FAULTY_BOXES.items() for s in suffixes],
)
def test_boxes_are_checked_where_their_task_has_them(write, prefix, suffix):
    fault = {**GOOD, "prefix": prefix, "suffix": suffix}
    with pytest.raises(ValueError, match="train.jsonl:1: a box must") as error:
        read_jsonl(write(fault))
    assert error.value.reason == "faulty box"
    records = read_jsonl(write(GOOD, fault), on_error="skip")
    assert records.problems.counts == {"faulty box": 1}


@pytest.mark.parametrize(
    "prefix, suffix",
    [
        ("detect cat ; dog", f"{BOX} cat ; {BOX} cat ; {BOX} dog"),
        ("detect cat", ""),
        ("detect cat", f"{BOX} a cat; or a dog?"),
        ("segment cat", f"{BOX}{'<seg001>' * 16} cat"),
        ("segment", f"{BOX}{'<seg001>' * 16}"),
        (f"caption {BOX}", "a cat"),
        ("caption pt-BR", "um gato"),
        ("answer if you can: which is left?", "cat"),
        ("answer en which?", "cat"),
        ("where is it?", "<loc0001><loc0002>"),
    ],
)
def test_what_is_no_fault(write, prefix, suffix):
    (record,) = read_jsonl(write({**GOOD, "prefix": prefix, "suffix": suffix}))
    assert (record.prefix, record.suffix) == (prefix, suffix)


@pytest.mark.parametrize("line, reason, match", FAULTS)
def test_a_fault_is_named_by_file_and_line(write, line, reason, match):
    path = write(GOOD, line)
    with pytest.raises(ValueError, match=f"train.jsonl:2: .*{match}") as error:
        read_jsonl(path)
    assert error.value.reason == reason


def test_faults_are_skipped_and_counted(write):
    path = write(GOOD, *(line for line, *_ in FAULTS), GOOD)
    records = read_jsonl(path, on_error="skip")
    assert len(records) == 2
    assert records[1].location.endswith(f":{len(FAULTS) + 2}")
    expected = {}
    for _, reason, _ in FAULTS:
        expected[reason] = expected.get(reason, 0) + 1
    assert records.problems.counts == expected


def test_a_file_without_a_record(write):
    with pytest.raises(ValueError, match="no usable record"):
        read_jsonl(write(""))


def test_urls_may_be_allowed(write):
    path = write({**GOOD, "image": "https://a.invalid/1.png"})
    records = read_jsonl(path, allow_urls=True)
    assert str(records[0].images[0]) == "'https://a.invalid/1.png'"
    with pytest.raises(ValueError, match="refused path|allow_urls"):
        read_jsonl(write({**GOOD, "image": "ftp://a/1.png"}), allow_urls=True)


@pytest.mark.parametrize(
    "failure",
    [
        http.client.IncompleteRead(b"half"),
        http.client.InvalidURL("a space"),
        urllib.error.URLError("no route"),
        TimeoutError("too slow"),
    ],
)
def test_an_address_that_cannot_be_fetched_is_named(
    write, monkeypatch, failure
):
    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr("urllib.request.urlopen", fail)
    address = {**GOOD, "image": "https://a.b/1.png"}
    (record,) = read_jsonl(write(address), allow_urls=True)
    with pytest.raises(ValueError, match="jsonl:1: the image 'https://a.b/1"):
        record.raw()
