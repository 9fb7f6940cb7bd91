import numpy as np
import pytest

from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.video import read_frames
from keras_paligemma.data.video import tile_frames
from keras_paligemma.data.video import video_record

av = pytest.importorskip("av")

NUM_FRAMES = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video whose frames are grey, each 20 levels lighter."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv420p"
        for index in range(NUM_FRAMES):
            pixels = np.full((48, 64, 3), 20 * index, "uint8")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def indices(frames):
    return [round(np.asarray(frame).mean() / 20) for frame in frames]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"num_frames": 4}, [0, 1, 2, 3]),
        ({"num_frames": 3, "stride": 5}, [0, 5, 10]),
        ({"num_frames": 3, "stride": 3, "start": 2}, [2, 5, 8]),
        ({"num_frames": 7, "stride": 5}, [0, 5, 10, 0, 5, 10, 0]),
        ({"num_frames": 2, "stride": 70}, [0, 0]),
    ],
)
def test_frames_by_stride_and_number(video, arguments, expected):
    assert indices(read_frames(video, **arguments)) == expected


def test_short_clips_are_tiled():
    assert tile_frames("abc", 7) == list("abcabca")
    assert tile_frames("abc", 2) == list("ab")


def test_a_video_is_a_record_of_several_images(video):
    record = video_record(video, "caption en", "it gets light", 5, stride=4)
    mixture = Mixture({"videos": ([record], 1.0)})
    batch = mixture.batch(0, 2)
    assert [len(images) for images in batch["images"]] == [5, 5]
    assert indices(batch["images"][0]) == [0, 4, 8, 0, 4]


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"num_frames": 0}, "`num_frames`"),
        ({"num_frames": 1, "stride": 0}, "`stride`"),
        ({"num_frames": 1, "start": -1}, "`start`"),
        ({"num_frames": 1, "start": 50}, "no frame at 50"),
    ],
)
def test_faulty_arguments(video, arguments, match):
    with pytest.raises(ValueError, match=match):
        read_frames(video, **arguments)


def test_a_broken_video_is_named(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video" * 99)
    with pytest.raises(ValueError, match="broken.mp4"):
        read_frames(path, 1)
    record = video_record(path, "caption en", "x", 1, location="v.jsonl:3")
    with pytest.raises(ValueError, match="v.jsonl:3: the image frames of"):
        record.raw()
    with pytest.raises(ValueError, match="absent.mp4"):
        read_frames(tmp_path / "absent.mp4", 1)
