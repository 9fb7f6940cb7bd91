"""A folder of images, labelled by sub-folder or by text files beside them."""

import os
from pathlib import Path

from keras_paligemma.data.problems import DataError
from keras_paligemma.data.readers.checked_records import CheckedRecords
from keras_paligemma.data.readers.text_checks import check_texts
from keras_paligemma.data.record import Record

IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
)


def read_folder(path, prefix="caption en", labels="auto", on_error="raise"):
    """The images below a folder, in the order of their names.

    Args:
        path: str or path.
        prefix: str. The prompt of all of them.
        labels: `"text"`: the suffix of `cat.jpg` is in `cat.txt`;
            `"folder"`: it is the name of the sub-folder; `"none"`: it is
            empty (images to be described); `"auto"`: `"text"` if there is a
            text file beside any image, else `"folder"` if there are
            sub-folders, else `"none"`.
        on_error: `"raise"` or `"skip"`.

    Returns:
        sequence of `Record`.

    Example:

    ```python
    # flowers/rose/1.jpg, flowers/tulip/1.jpg
    records = read_folder("flowers", prefix="answer en which flower?")
    [record.suffix for record in records]  # ["rose", "tulip"]
    ```
    """
    if labels not in ("auto", "text", "folder", "none"):
        raise ValueError(
            '`labels` must be "auto", "text", "folder" or "none". Received: '
            f"labels={labels!r}"
        )
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"There must be a folder at {os.fspath(path)!r}.")
    files = sorted(
        file
        for file in root.rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    )
    if labels == "auto":
        labels = _guess_labels(root, files)

    def make(file):
        suffix = _label(file, root, labels)
        check_texts(prefix, (suffix,), str(file))
        return Record((str(file),), prefix, suffix, location=str(file))

    return CheckedRecords(files, make, os.fspath(path), on_error)


def _guess_labels(root, files):
    if any(file.with_suffix(".txt").is_file() for file in files):
        return "text"
    return "folder" if any(file.parent != root for file in files) else "none"


def _label(file, root, labels):
    if labels == "none":
        return ""
    if labels == "folder":
        if file.parent == root:
            raise DataError(
                "missing field",
                f"{file}: the image must lie in a sub-folder, whose name is "
                "its label.",
            )
        return file.relative_to(root).parts[0]
    text = file.with_suffix(".txt")
    try:
        return text.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "missing field",
            f"{file}: the text file {text.name!r} beside it cannot be read: "
            f"{error}.",
        ) from error
