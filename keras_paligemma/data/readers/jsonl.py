"""JSON lines with `image`, `prefix` and `suffix`."""

import json
import os
from array import array
from collections.abc import Sequence

from keras_paligemma.data.problems import DataError
from keras_paligemma.data.problems import Problems
from keras_paligemma.data.readers.image_paths import resolve_image
from keras_paligemma.data.readers.text_checks import check_texts
from keras_paligemma.data.record import Record


class JSONLRecords(Sequence):
    """The records of a JSONL file, as Roboflow exports them.

    The file is read through once, to find the lines and check them; after
    that only the lines that are asked for, so a file larger than memory is
    no trouble.

    Args:
        path: str or path. The file.
        image_root: str or `None`. The folder that names of images are
            relative to; the folder of the file by default.
        on_error: `"raise"`: a faulty line is a `ValueError` that names file
            and line. `"skip"`: it is left out and counted in `problems`.
        allow_urls: bool. Whether images may be `http(s)` addresses.
        task: str or `None`. A task for all records; else the line's `task`.
        source: str or `None`. The file's name by default.
        keys: tuple of three str. The names of the fields.

    Raises:
        ValueError: If a line is faulty, or if no record is left.
    """

    def __init__(
        self,
        path,
        image_root=None,
        on_error="raise",
        allow_urls=False,
        task=None,
        source=None,
        keys=("image", "prefix", "suffix"),
    ):
        self.path = os.fspath(path)
        self.image_root = os.fspath(
            os.path.dirname(self.path) or "."
            if image_root is None
            else image_root
        )
        self.problems = Problems(on_error)
        self.allow_urls = allow_urls
        self.task = task
        self.source = source or os.path.basename(self.path)
        self.keys = tuple(keys)
        self._offsets = array("q")
        self._lines = array("q")
        self._find_lines()
        if not self._offsets:
            raise ValueError(
                f"{self.path}: there is no usable record in the file. "
                f"Received: skipped={self.problems.counts}"
            )

    def __len__(self):
        return len(self._offsets)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        offset, number = self._offsets[index], self._lines[index]
        with open(self.path, "rb") as file:
            file.seek(offset)
            line = file.readline()
        return self._parse(line, number)

    def _find_lines(self):
        offset = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    good, _ = self.problems.guard(self._parse, line, number)
                    if good:
                        self._offsets.append(offset)
                        self._lines.append(number)
                offset += len(line)

    def _parse(self, line, number):
        location = f"{self.path}:{number}"
        try:
            fields = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            # No JSON, no UTF-8, or brackets without end.
            raise DataError(
                "bad JSON", f"{location}: the line is no JSON: {error}."
            ) from error
        if not isinstance(fields, dict):
            raise DataError(
                "bad JSON",
                f"{location}: a line must be a JSON object. Received: "
                f"{type(fields).__name__}.",
            )
        missing = [key for key in self.keys if fields.get(key) is None]
        if missing:
            raise DataError(
                "missing field",
                f"{location}: a record must have the fields "
                f"{list(self.keys)}. Received: {sorted(fields)}, without "
                f"{missing}.",
            )
        task = self.task or fields.get("task")
        if task is not None and not isinstance(task, str):
            raise DataError(
                "wrong field",
                f"{location}: 'task' must be a text. Received: {task!r:.80}.",
            )
        image, prefix, suffix = (fields[key] for key in self.keys)
        names = image if isinstance(image, list) else [image]
        choices = tuple(suffix) if isinstance(suffix, list) else ()
        check_texts(prefix, choices or (suffix,), location)
        return Record(
            images=tuple(
                resolve_image(n, self.image_root, location, self.allow_urls)
                for n in names
            ),
            prefix=prefix,
            suffix=choices[0] if choices else suffix,
            task=task,
            source=self.source,
            location=location,
            choices=choices,
        )


def read_jsonl(path, **kwargs):
    """The records of a JSONL file: `image`, `prefix`, `suffix`.

    `image` may be a list (several images of one example), `suffix` may be a
    list (several captions, of which a mixture draws one each epoch), and a
    `task` may name the task.

    Args:
        path: str or path. The file.
        **kwargs: Arguments of `JSONLRecords`.

    Returns:
        `JSONLRecords`, a sequence of `Record`.

    Example:

    ```python
    # {"image": "1.jpg", "prefix": "caption en", "suffix": "a cat"}
    records = read_jsonl("train.jsonl", image_root="images")
    len(records), records[0].suffix  # (1, "a cat")
    ```
    """
    return JSONLRecords(path, **kwargs)
