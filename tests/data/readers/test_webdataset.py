import gc
import io
import json
import tarfile

import pytest
from PIL import Image

from keras_paligemma.data.readers.webdataset import read_webdataset


def png(size):
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "PNG")
    return data.getvalue()


def write_shard(path, files):
    with tarfile.open(path, "w") as shard:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    return path


def example(number):
    texts = {"prefix": "caption en", "suffix": f"image {number}"}
    return {
        f"d/{number}.png": png((number + 1, 2)),
        f"d/{number}.json": json.dumps(texts).encode(),
    }


@pytest.fixture
def shards(tmp_path):
    write_shard(tmp_path / "s-0.tar", {**example(0), **example(1)})
    write_shard(tmp_path / "s-1.tar", {**example(2), **example(3)})
    return tmp_path


def test_any_record_can_be_read(shards):
    records = read_webdataset(str(shards / "s-*.tar"))
    assert len(records) == 4
    for index in (3, 0, 2, 1):
        record = records[index]
        assert record.suffix == f"image {index}"
        assert record.raw()["images"].size == (index + 1, 2)
    assert records[2].location.endswith("s-1.tar:d/2")


def test_captions_in_text_files(tmp_path):
    files = {"1.jpg": png((2, 2)), "1.txt": b"a cat\n"}
    path = write_shard(tmp_path / "s.tar", files)
    (record,) = read_webdataset([path], prefix="caption en")
    assert (record.prefix, record.suffix) == ("caption en", "a cat")


# The library leaves its file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_webdataset_library_reads_the_same(shards):
    webdataset = pytest.importorskip("webdataset")
    path = str(shards / "s-0.tar")
    theirs = list(webdataset.WebDataset(path, shardshuffle=False))
    gc.collect()
    ours = read_webdataset([path])
    assert [json.loads(x["json"])["suffix"] for x in theirs] == [
        record.suffix for record in ours
    ]


@pytest.mark.parametrize("kind", ["cut off", "overwritten", "no tar"])
def test_a_corrupt_shard(shards, kind):
    path = shards / "s-0.tar"
    data = bytearray(path.read_bytes())
    if kind == "cut off":
        path.write_bytes(data[:1600])
    elif kind == "overwritten":  # the header of the second example
        data[2048:2560] = b"x" * 512
        path.write_bytes(data)
    else:
        path.write_bytes(b"no tar" * 999)
    with pytest.raises(ValueError, match="s-0.tar: the shard is .*corrupt"):
        len(read_webdataset(str(shards / "s-*.tar")))
    records = read_webdataset(str(shards / "s-*.tar"), on_error="skip")
    assert [r.suffix for r in records][-2:] == ["image 2", "image 3"]
    assert records.problems.counts == {"corrupt shard": 1}


def test_an_example_that_lacks_a_file(tmp_path):
    files = {**example(1), "d/2.json": b"{}", "d/3.png": png((1, 1))}
    path = write_shard(tmp_path / "s.tar", files)
    with pytest.raises(ValueError, match="s.tar:d/2: "):
        len(read_webdataset([path]))
    records = read_webdataset([path], on_error="skip")
    assert len(records) == 1
    assert records.problems.counts == {"missing field": 2}


def test_no_shards(tmp_path):
    with pytest.raises(ValueError, match="none found"):
        read_webdataset(str(tmp_path / "*.tar"))
