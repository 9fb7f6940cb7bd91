"""Frames of videos, as records of several images."""

import os

from keras_paligemma.data.image_decoding import UnreadableImageError
from keras_paligemma.data.record import Record


def read_frames(path, num_frames, stride=1, start=0):
    """Reads frames of a video: every `stride`-th, `num_frames` of them.

    A short clip is tiled, as published: its frames are repeated from the
    first until there are enough. (The published transfers take 8 frames at
    stride 26 for MSVD-QA, and 16 frames elsewhere: stride 30 for
    ActivityNet-CAP, 70 for ActivityNet-QA, 9 for MSRVTT, 7 for VATEX.)

    Args:
        path: str or path. Any file that FFmpeg reads.
        num_frames: int.
        stride: int. The distance between frames taken.
        start: int. The first frame taken.

    Returns:
        list of `PIL.Image`, `num_frames` long.

    Raises:
        ValueError: If the file cannot be read, or has no frame at `start`.
        ImportError: If PyAV is missing.

    Example:

    ```python
    frames = read_frames("clip.mp4", num_frames=16, stride=9)
    model.generate({"images": [frames], "prompts": ["caption en"]})
    ```
    """
    for name, value, least in (
        ("num_frames", num_frames, 1),
        ("stride", stride, 1),
        ("start", start, 0),
    ):
        if not isinstance(value, int) or value < least:
            raise ValueError(
                f"`{name}` must be an integer of at least {least}. Received: "
                f"{name}={value!r}"
            )
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "Reading videos needs PyAV: `pip install av`."
        ) from error
    name = os.fspath(path)
    frames = []
    try:
        with av.open(name) as container:
            if not container.streams.video:
                raise ValueError("it has no video stream")
            for index, frame in enumerate(container.decode(video=0)):
                if index >= start and (index - start) % stride == 0:
                    frames.append(frame.to_image())
                if len(frames) == num_frames:
                    break
    except (OSError, ValueError, av.FFmpegError) as error:
        raise UnreadableImageError(
            f"The video {name!r} cannot be read: {error}."
        ) from error
    if not frames:
        raise UnreadableImageError(
            f"The video {name!r} has no frame at {start}. Give a smaller "
            "`start`."
        )
    return tile_frames(frames, num_frames)


def tile_frames(frames, num_frames):
    """Repeats frames from the first until there are enough.

    Args:
        frames: sequence of images, one at least.
        num_frames: int.

    Returns:
        list, `num_frames` long.

    Example:

    ```python
    tile_frames(["a", "b", "c"], 5)  # ["a", "b", "c", "a", "b"]
    ```
    """
    return [frames[i % len(frames)] for i in range(num_frames)]


class VideoFrames:
    """The frames of a video, read when it is called.

    Args:
        path: str or path.
        num_frames, stride, start: int. As for `read_frames`.
    """

    def __init__(self, path, num_frames, stride=1, start=0):
        self.path = os.fspath(path)
        self.num_frames = num_frames
        self.stride = stride
        self.start = start

    def __call__(self):
        return read_frames(self.path, self.num_frames, self.stride, self.start)

    def __str__(self):
        return f"frames of {self.path!r}"


def video_record(path, prefix, suffix, num_frames, stride=1, start=0, **kwargs):
    """A record whose images are the frames of a video.

    Args:
        path: str or path.
        prefix, suffix: str.
        num_frames, stride, start: int. As for `read_frames`; the video is
            opened when the record is decoded.
        **kwargs: Further fields of `Record`.

    Returns:
        `Record`.

    Example:

    ```python
    record = video_record("a.mp4", "caption en", "a dog runs", 16, stride=9)
    len(record.raw()["images"])  # 16
    ```
    """
    frames = VideoFrames(path, num_frames, stride, start)
    return Record((frames,), prefix, suffix, **kwargs)
