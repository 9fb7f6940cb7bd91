"""Removes near-duplicates of some images from training data."""

import dataclasses
import os
import shutil
import time

from keras_paligemma.data.deduplication.chunks import split_input
from keras_paligemma.data.deduplication.limits import Limits
from keras_paligemma.data.deduplication.near_duplicate_index import import_faiss
from keras_paligemma.data.deduplication.outputs import write_outputs
from keras_paligemma.data.deduplication.progress import show_progress
from keras_paligemma.data.deduplication.shards import read_json
from keras_paligemma.data.deduplication.shards import write_json
from keras_paligemma.data.deduplication.steps import forget_index
from keras_paligemma.data.deduplication.tasks import AgainstTask
from keras_paligemma.data.deduplication.tasks import DataTask
from keras_paligemma.data.problems import Problems

# Of the files in the work folder; a change makes older ones unusable.
_VERSION = 2


def deduplicate(
    against,
    data,
    out,
    *,
    against_root=None,
    data_root=None,
    limits=None,
    embed=None,
    embed_name=None,
    on_error="raise",
    workers=1,
    chunk_size=1000,
    report=None,
    map_tasks=None,
    progress=True,
):
    """Writes data without the records whose images are in other data.

    A record is removed if one of its images is a near-duplicate of any image
    of `against`. The lines that stay keep their bytes and their order.

    The work goes chunk by chunk and is kept in a folder beside the report
    until it is done. Called again with the same arguments after it was
    killed, it goes on where it was. Memory does not grow with `data`.

    Args:
        against: path, or list of paths. JSONL files whose lines name an
            `image` (or a list of them), or folders of images: the images
            that must not be trained on.
        data: path, or list of paths. The same: what is trained on.
        out: path. The file to write, for one file or folder of data; for a
            list, the folder to write one file each into, by the same names.
            Names of images in it are relative to what they were before:
            give that folder as `image_root` where the file is read, or write
            it beside the data.
        against_root: path or `None`. The folder below which the images of
            `against` lie; by default each file's own.
        data_root: path or `None`. The same for `data`.
        limits: `Limits`.
        embed: callable or `None`. Takes a list of `PIL.Image`, returns
            vectors `[num_images, width]`, which are compared by cosine as
            well; see `image_embedder`.
        embed_name: str or `None`. What the embeddings are called in the
            report, and what tells them apart after an interruption.
        on_error: `"raise"`, or `"skip"`: records that are faulty, or whose
            image cannot be read, are left out and counted.
        workers: int. Images decoded at the same time.
        chunk_size: int. Lines a chunk.
        report: path or `None`. The folder for the report: `report.json`,
            `removed.jsonl`, `skipped.jsonl` and `pairs.png`. By default
            beside `out`, with `.report` for `.jsonl`.
        map_tasks: callable or `None`. Does the work elsewhere; see
            `RayMap`. By default it is done in this process.
        progress: bool. Whether to draw a progress bar.

    Returns:
        dict, the same as in `report.json`: how many records there were, how
        many were kept, removed (also by measure) and skipped (by reason).

    Raises:
        ValueError: An input, or the work folder of another job, does not
            fit; a `DataError` among them names file and line.
        FileNotFoundError: An input is missing.
        ImportError: faiss is not installed.

    Example:

    ```python
    summary = deduplicate(["vqa.jsonl"], "pretrain.jsonl", "clean.jsonl")
    summary["removed"]  # 17; see clean.report/pairs.png
    ```
    """
    import_faiss()
    Problems(on_error)  # Checks the word.
    for name, number in (("workers", workers), ("chunk_size", chunk_size)):
        if number < 1:
            raise ValueError(
                f"`{name}` must be 1 or more. Received: {name}={number}"
            )
    limits = limits or Limits()
    several = isinstance(data, (list, tuple))
    # Absolute: workers may stand elsewhere.
    data = [os.path.abspath(path) for path in (data if several else [data])]
    if not isinstance(against, (list, tuple)):
        against = [against]
    against = [os.path.abspath(path) for path in against]
    against_root = against_root and os.path.abspath(against_root)
    data_root = data_root and os.path.abspath(data_root)
    for name, paths in (("against", against), ("data", data)):
        if not paths:
            raise ValueError(f"`{name}` must name at least one file.")
    out = os.fspath(out)
    outputs = _outputs(data, out, several)
    _refuse_overwriting(outputs, [*against, *data])
    report = os.fspath(report or out.removesuffix(".jsonl") + ".report")
    against_chunks = _split(against, against_root, chunk_size)
    data_chunks = _split(data, data_root, chunk_size)
    settings = {
        "version": _VERSION,
        "against": [_identity(path) for path in against],
        "data": [_identity(path) for path in data],
        "against_root": against_root,
        "data_root": data_root,
        "out": os.path.abspath(out),
        "limits": dataclasses.asdict(limits),
        "embeddings": embed_name or (embed is not None),
        "on_error": on_error,
        "chunk_size": chunk_size,
    }
    work = os.path.abspath(os.path.join(report, "work"))
    _enter(work, settings)
    started = time.monotonic()
    map_tasks = map_tasks or _map_here
    common = {
        "folder": work,
        "on_error": on_error,
        "threads": workers,
        "embed": embed,
    }
    forget_index()
    try:
        for title, task, chunks in (
            ("against", AgainstTask(**common), against_chunks),
            (
                "data",
                DataTask(
                    **common, num_against=len(against_chunks), limits=limits
                ),
                data_chunks,
            ),
        ):
            todo = [
                (number, chunk)
                for number, chunk in enumerate(chunks)
                if not os.path.exists(task.path(number))
            ]
            done = map_tasks(task, todo)
            with show_progress(title, len(chunks), len(todo), progress) as step:
                for _ in done:
                    step()
    finally:
        forget_index()
    summary = write_outputs(outputs, data_chunks, work, report)
    summary = {
        **summary,
        "against_images": sum(
            AgainstTask(**common).count(i) for i in range(len(against_chunks))
        ),
        "seconds": round(time.monotonic() - started, 3),
        "settings": settings,
    }
    write_json(os.path.join(report, "report.json"), summary)
    shutil.rmtree(work)
    return summary


def _map_here(task, chunks):
    for number, chunk in chunks:
        task(number, chunk)
        yield number


def _split(paths, root, chunk_size):
    chunks = []
    for path in paths:
        chunks.extend(split_input(path, root, chunk_size))
    return chunks


def _outputs(data, out, several):
    """A dict of input to the file that is written for it."""
    if not several:
        if os.path.isdir(out):
            raise ValueError(
                "For one file of data, `out` must be a file. Received the "
                f"folder: out={out!r}"
            )
        return {data[0]: out}
    names = [os.path.basename(os.path.normpath(path)) for path in data]
    names = [name.removesuffix(".jsonl") + ".jsonl" for name in names]
    if len(set(names)) < len(names):
        raise ValueError(
            "Files of data must have different names, since those that are "
            f"written take the same. Received: data={data}"
        )
    return {
        path: os.path.join(out, name)
        for path, name in zip(data, names, strict=True)
    }


def _refuse_overwriting(outputs, inputs):
    inputs = {os.path.realpath(path) for path in inputs}
    for path in outputs.values():
        if os.path.realpath(path) in inputs:
            raise ValueError(
                "The output must not be one of the inputs. Received: "
                f"out={path!r}"
            )


def _identity(path):
    """What tells whether an input has changed since the work began."""
    status = os.stat(path)
    return [path, status.st_size, status.st_mtime_ns]


def _enter(work, settings):
    """Makes the work folder, or checks that it is of the same job."""
    path = os.path.join(work, "settings.json")
    if os.path.exists(path):
        before = read_json(path)
        if settings["on_error"] == "skip":
            # What was done so far had no fault in it, so nothing differs.
            before["on_error"] = "skip"
        changed = [
            name
            for name in {**before, **settings}
            if before.get(name) != settings.get(name)
        ]
        if changed:
            raise ValueError(
                f"{work} holds the work of an interrupted job with other "
                "settings. Give the same again, or delete that folder. "
                + "; ".join(
                    f"{name}: {before.get(name)!r} there. Received: "
                    f"{name}={settings.get(name)!r}"
                    for name in changed
                )
            )
    os.makedirs(work, exist_ok=True)
    write_json(path, settings)
