"""Checksums of a folder's files, to know a damaged checkpoint."""

import json
import os
import zlib
from pathlib import Path

NAME = "checksums.json"
CHUNK = 1 << 24


def write_checksums(folder):
    """Writes the size and CRC-32 of every file under a folder into it.

    Args:
        folder: path.
    """
    folder = Path(folder)
    sums = {
        str(path.relative_to(folder)): [path.stat().st_size, _crc(path)]
        for path in _files(folder)
    }
    temporary = folder / f".{NAME}"
    temporary.write_text(json.dumps(sums))
    os.replace(temporary, folder / NAME)


def find_damage(folder):
    """Compares a folder with its checksums.

    Args:
        folder: path.

    Returns:
        A string that names the first file amiss, or `None`: also where no
        checksums were written, for a run can be killed before that.
    """
    folder = Path(folder)
    if not (folder / NAME).exists():
        return None
    try:
        sums = json.loads((folder / NAME).read_text())
    except ValueError:
        return f"{folder / NAME} is not JSON"
    for name, (size, crc) in sums.items():
        path = folder / name
        if not path.exists():
            return f"{path} is missing"
        if path.stat().st_size != size:
            return f"{path} has {path.stat().st_size} bytes, not {size}"
        if _crc(path) != crc:
            return f"{path} has changed since it was written"
    return None


def _files(folder):
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (NAME, f".{NAME}")
    )


def _crc(path):
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
