"""WebDataset shards: tar files in which an example's files stand together."""

import glob
import json
import os
import tarfile
from collections.abc import Sequence

from keras_paligemma.data.problems import DataError
from keras_paligemma.data.problems import Problems
from keras_paligemma.data.readers.json_files import require
from keras_paligemma.data.readers.text_checks import check_texts
from keras_paligemma.data.record import Record

_IMAGES = ("jpg", "jpeg", "png", "webp")


class ShardRecords(Sequence):
    """Records in tar files, read at any place.

    The headers of the shards are read through once, when the length or the
    first record is asked for; the data is read where it stands.

    Args:
        paths: str with wildcards, or sequence of paths. Uncompressed tars.
        prefix: str or `None`. The prompt of examples that have no
            `key.json` with `prefix` and `suffix`; `key.txt` is then the
            suffix.
        on_error: `"raise"`, or `"skip"`: a corrupt shard is used as far as
            it can be read, faulty examples are left out, and both counted.
        task, source: str or `None`.
    """

    def __init__(
        self, paths, prefix=None, on_error="raise", task=None, source=None
    ):
        if isinstance(paths, (str, os.PathLike)):
            paths = sorted(glob.glob(os.fspath(paths)))
        self.paths = [os.fspath(path) for path in paths]
        if not self.paths:
            raise ValueError("There must be one shard at least: none found.")
        self.prefix = prefix
        self.problems = Problems(on_error)
        self.task = task
        self.source = source or os.path.basename(self.paths[0])
        self._found = None

    @property
    def _examples(self):
        if self._found is None:
            found = []
            for path in self.paths:
                for key, files in self._index_shard(path):
                    good, _ = self.problems.guard(self._make, path, key, files)
                    if good:
                        found.append((path, key, files))
            if not found:
                raise ValueError(
                    f"There must be a usable example in {self.paths}. "
                    f"Received: skipped={self.problems.counts}"
                )
            self._found = found
        return self._found

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._make(*entry) for entry in self._examples[index]]
        return self._make(*self._examples[index])

    def _index_shard(self, path):
        """Pairs of key and dict of extension to (offset, size)."""
        groups = {}
        try:
            # "r:" refuses compressed files, in which nothing can be sought.
            with tarfile.open(path, "r:") as shard:
                end, last = os.path.getsize(path), 0
                for member in shard:
                    last = member.offset_data + -(-member.size // 512) * 512
                    if not member.isfile():
                        continue
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError("it ends within a file")
                    folder, name = os.path.split(member.name)
                    key, _, extension = name.partition(".")
                    files = groups.setdefault(os.path.join(folder, key), {})
                    files[extension.lower()] = (member.offset_data, member.size)
            # tarfile takes a broken header for the end, which has zeros.
            if ShardFile(path, last, 512)() != bytes(512):
                raise tarfile.ReadError(f"it breaks off at byte {last}")
        except (tarfile.TarError, EOFError, OSError) as error:
            self.problems.report(
                "corrupt shard",
                f"{path}: the shard is no uncompressed tar file or is corrupt: "
                f"{error}.",
            )
            # The example at the break may lack some of its files.
            if groups:
                groups.popitem()
        return list(groups.items())

    def _make(self, path, key, files):
        location = f"{path}:{key}"
        image = next((files[name] for name in _IMAGES if name in files), None)
        if image is None:
            raise DataError(
                "missing field",
                f"{location}: an example must have a file with one of the "
                f"extensions {_IMAGES}. Received: {sorted(files)}.",
            )
        prefix, suffix = self._texts(path, files, location)
        check_texts(prefix, (suffix,), location)
        return Record(
            images=(ShardFile(path, *image, name=key),),
            prefix=prefix,
            suffix=suffix,
            task=self.task,
            source=self.source,
            location=location,
        )

    def _texts(self, path, files, location):
        try:
            if "json" in files and self.prefix is None:
                fields = json.loads(ShardFile(path, *files["json"])())
                prefix = require(fields, "prefix", location)
                return prefix, require(fields, "suffix", location)
            if "txt" in files and self.prefix is not None:
                text = ShardFile(path, *files["txt"])()
                return self.prefix, text.decode("utf-8").strip()
        except DataError:
            raise
        except (ValueError, AttributeError) as error:
            raise DataError(
                "bad JSON", f"{location}: the text cannot be read: {error}."
            ) from error
        raise DataError(
            "missing field",
            f"{location}: an example must have a `.json` with 'prefix' and "
            "'suffix', or a `.txt` with the suffix where `prefix` is given. "
            f"Received: {sorted(files)}, prefix={self.prefix!r}.",
        )


class ShardFile:
    """A file within a tar file; calling it reads its bytes."""

    def __init__(self, path, offset, size, name=""):
        self.path = path
        self.offset = offset
        self.size = size
        self.name = name

    def __call__(self):
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def __str__(self):
        return f"{self.name!r} in {self.path!r}"


def read_webdataset(paths, **kwargs):
    """The records of WebDataset shards.

    Args:
        paths: str with wildcards, or sequence of paths.
        **kwargs: Arguments of `ShardRecords`.

    Returns:
        `ShardRecords`, a sequence of `Record`.

    Example:

    ```python
    # 0001.jpg, 0001.json {"prefix": "caption en", "suffix": "a cat"}, ...
    records = read_webdataset("train-*.tar")
    records = read_webdataset("laion-*.tar", prefix="caption en")  # .txt
    ```
    """
    return ShardRecords(paths, **kwargs)
