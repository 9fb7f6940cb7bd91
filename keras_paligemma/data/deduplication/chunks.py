"""Data files cut into chunks that can be read on their own."""

import dataclasses
import json
import os
from pathlib import Path

from keras_paligemma.data.problems import DataError
from keras_paligemma.data.readers.folder import IMAGE_SUFFIXES
from keras_paligemma.data.readers.image_paths import resolve_image


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some records of a data file, or some images of a folder.

    Args:
        path: str. The JSONL file, or the folder.
        image_root: str. The folder below which the images lie.
        begin: int. Byte in the file at which the chunk begins.
        end: int. Byte at which it ends.
        line: int. Number of its first line, from 1.
        names: tuple of str. Images of a folder, relative to it; empty for a
            file.
    """

    path: str
    image_root: str
    begin: int = 0
    end: int = 0
    line: int = 1
    names: tuple = ()

    def lines(self):
        """Yields pairs of the number of a line and its bytes."""
        if self.names:
            for number, name in enumerate(self.names, start=self.line):
                text = json.dumps({"image": name}, ensure_ascii=False)
                yield number, text.encode() + b"\n"
            return
        with open(self.path, "rb") as file:
            file.seek(self.begin)
            number = self.line
            while file.tell() < self.end:
                yield number, file.readline()
                number += 1

    def images(self, number, line):
        """The paths of the images of a line.

        Returns:
            list of str; `None` for an empty line.

        Raises:
            DataError: The line is no record, or its image is refused.
        """
        location = self.location(number)
        if not line.strip():
            return None
        try:
            fields = json.loads(line.decode("utf-8-sig"))
        except ValueError as error:
            raise DataError(
                "bad JSON", f"{location}: the line is no JSON: {error}."
            ) from error
        image = fields.get("image") if isinstance(fields, dict) else None
        if not image:
            raise DataError(
                "missing field",
                f"{location}: a record must be a JSON object with the field "
                f"'image'. Received: {line[:80]!r}.",
            )
        names = image if isinstance(image, list) else [image]
        return [resolve_image(n, self.image_root, location) for n in names]

    def location(self, number):
        """`file:line`, or the path of an image of a folder."""
        if self.names:
            name = self.names[number - self.line]
            return os.path.join(self.path, name)
        return f"{self.path}:{number}"


def split_input(path, image_root=None, size=1000):
    """Cuts a JSONL file or a folder of images into chunks.

    Only where lines end is looked at here; the names of a folder are kept in
    memory.

    Args:
        path: str or path.
        image_root: str, path or `None`. By default the folder of the file.
        size: int. Lines a chunk.

    Returns:
        list of `Chunk`.

    Raises:
        FileNotFoundError: There is neither a file nor a folder.
        ValueError: The folder holds no image, or the file no line.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        names = _image_names(path)
        chunks = [
            Chunk(path, path, line=i + 1, names=tuple(names[i : i + size]))
            for i in range(0, len(names), size)
        ]
    elif os.path.isfile(path):
        root = image_root or os.path.dirname(path) or "."
        chunks = list(_cut_file(path, os.fspath(root), size))
    else:
        raise FileNotFoundError(
            "There must be a JSONL file, or a folder of images. Received: "
            f"path={path!r}"
        )
    if not chunks:
        raise ValueError(f"{path}: there is no record.")
    return chunks


def _cut_file(path, root, size):
    begin = offset = 0
    first = number = 1
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            offset += len(line)
            if number - first + 1 == size:
                yield Chunk(path, root, begin, offset, first)
                begin, first = offset, number + 1
    if offset > begin:
        yield Chunk(path, root, begin, offset, first)


def _image_names(folder):
    files = Path(folder).rglob("*")
    return sorted(
        file.relative_to(folder).as_posix()
        for file in files
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    )
