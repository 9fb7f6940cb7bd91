"""Files that are there whole or not at all."""

import contextlib
import json
import os
import tempfile

import numpy as np

from keras_paligemma.data.deduplication.fingerprints import Fingerprints


@contextlib.contextmanager
def whole_file(path):
    """Opens a file for writing that takes its name only at the end.

    Args:
        path: str. The final name. What is there already is replaced.

    Yields:
        A binary file. After an error nothing is left of it; after a killed
        process a file that ends in `.partial` and that nobody reads.
    """
    handle, partial = tempfile.mkstemp(
        dir=os.path.dirname(path) or ".",
        prefix=f".{os.path.basename(path)}.",
        suffix=".partial",
    )
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for this user only.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(partial, 0o666 & ~mask)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
        raise


def write_json(path, value):
    """Writes a value as JSON, whole or not at all."""
    with whole_file(path) as file:
        text = json.dumps(value, indent=1, ensure_ascii=False)
        file.write(text.encode() + b"\n")


def read_json(path):
    """Reads a JSON file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_shard(path, fingerprints, numbers, paths, problems, embeddings=None):
    """Writes the hashes of the images of a chunk.

    Args:
        path: str. A `.npz` file.
        fingerprints: `Fingerprints`, a row an image.
        numbers: list of int. The line of each image.
        paths: list of str. The file of each image.
        problems: list of `[line, reason, message]`: lines left out.
        embeddings: float array `[num_images, ...]` or `None`.
    """
    arrays = _arrays(fingerprints)
    arrays["numbers"] = np.asarray(numbers, "int64")
    # As JSON: arrays of objects would have to be unpickled.
    text = json.dumps({"paths": paths, "problems": problems})
    arrays["texts"] = np.frombuffer(text.encode(), "uint8")
    if embeddings is not None:
        arrays["embeddings"] = np.asarray(embeddings, "float32")
    with whole_file(path) as file:
        np.savez(file, **arrays)


def read_shard(path):
    """Reads what `write_shard` wrote.

    Returns:
        dict with `"fingerprints"`, `"numbers"`, `"paths"`, `"problems"` and
        `"embeddings"` (or `None`).
    """
    with np.load(path, allow_pickle=False) as arrays:
        texts = json.loads(arrays["texts"].tobytes())
        return {
            "fingerprints": Fingerprints(
                arrays["whole"],
                arrays["regions"],
                arrays["textured"],
                arrays["lowest"],
            ),
            "numbers": arrays["numbers"],
            "embeddings": arrays.get("embeddings"),
            **texts,
        }


def _arrays(fingerprints):
    return {
        "whole": fingerprints.whole,
        "regions": fingerprints.regions,
        "textured": fingerprints.textured,
        "lowest": fingerprints.lowest,
    }
