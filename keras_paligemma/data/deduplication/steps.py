"""The two steps of the work on a chunk: hash its images, search for them.

Each reads files and writes one file, whole or not at all, so that chunks can
be worked on in any order, by any process or machine that sees the folder, and
again after it was killed.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import ImageOps

from keras_paligemma.data.deduplication.fingerprints import Fingerprints
from keras_paligemma.data.deduplication.fingerprints import empty_fingerprints
from keras_paligemma.data.deduplication.fingerprints import (
    fingerprint_thumbnails,
)
from keras_paligemma.data.deduplication.fingerprints import thumbnail
from keras_paligemma.data.deduplication.near_duplicate_index import (
    NearDuplicateIndex,
)
from keras_paligemma.data.deduplication.shards import read_json
from keras_paligemma.data.deduplication.shards import read_shard
from keras_paligemma.data.deduplication.shards import write_json
from keras_paligemma.data.deduplication.shards import write_shard
from keras_paligemma.data.image_decoding import UnreadableImageError
from keras_paligemma.data.image_decoding import decode_image
from keras_paligemma.data.image_decoding import to_rgb
from keras_paligemma.data.problems import DataError
from keras_paligemma.data.problems import Problems

# As many decoded images are held at a time.
_DECODED_AT_ONCE = 32


def shard_path(folder, side, number):
    """The file of the hashes of a chunk; `side` is "against" or "data"."""
    return os.path.join(folder, f"{side}-{number:06d}.npz")


def matches_path(folder, number):
    """The file of what was found for a chunk of the data."""
    return os.path.join(folder, f"matches-{number:06d}.json")


def hash_chunk(
    chunk, path, on_error="raise", threads=1, embed=None, mirrored=False
):
    """Hashes the images of a chunk into a shard, unless it is there.

    An image that several records of the chunk name is opened once.

    Args:
        chunk: `Chunk`.
        path: str. The shard.
        on_error: `"raise"` or `"skip"`.
        threads: int. Images decoded at the same time.
        embed: callable of a list of `PIL.Image` that returns vectors, or
            `None`.
        mirrored: bool. Whether mirrored images are embedded as well.

    Raises:
        DataError: A line or an image is faulty, and `on_error` is "raise".
    """
    if os.path.exists(path):
        return
    problems = Problems(on_error)
    skipped, wanted, read = [], [], {}
    for number, line in chunk.lines():
        try:
            for image in chunk.images(number, line) or ():
                wanted.append((number, image))
                read.setdefault(image, chunk.location(number))
        except DataError as error:
            problems.report(error.reason, str(error))
            skipped.append([number, error.reason, str(error)])
    results = _read_images(read, threads, embed, mirrored)
    faulty = set()
    for number, image in wanted:
        result = results[image]
        if isinstance(result, UnreadableImageError) and number not in faulty:
            problems.report("unreadable image", str(result))
            skipped.append([number, "unreadable image", str(result)])
            faulty.add(number)
    wanted = [(n, image) for n, image in wanted if n not in faulty]
    order = list(dict.fromkeys(image for _, image in wanted))
    rows = {image: row for row, image in enumerate(order)}
    embeddings = None
    if order:
        prints = fingerprint_thumbnails(
            np.stack([results[image][0] for image in order])
        )
        if embed is not None:
            embeddings = np.stack([results[image][1] for image in order])
    else:
        prints = empty_fingerprints()
    if mirrored:  # The side to look for: an image once is enough.
        numbers = {}
        for number, image in wanted:
            numbers.setdefault(image, number)
        wanted = [(numbers[image], image) for image in order]
    picked = np.array([rows[image] for _, image in wanted], int)
    write_shard(
        path,
        prints[picked],
        [number for number, _ in wanted],
        [image for _, image in wanted],
        sorted(skipped),
        None if embeddings is None else embeddings[picked],
    )


def _read_images(locations, threads, embed, mirrored):
    """A dict of path to a thumbnail and an embedding, or to an error."""
    results = {}
    paths = list(locations)

    def read(path):
        try:
            image = decode_image(path, locations[path])
            small = thumbnail(image)
        except UnreadableImageError as error:
            return path, error, None
        return path, small, to_rgb(image) if embed else None

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), _DECODED_AT_ONCE):
            part = paths[start : start + _DECODED_AT_ONCE]
            good = []
            for path, small, image in pool.map(read, part):
                if isinstance(small, UnreadableImageError):
                    results[path] = small
                else:
                    results[path] = (small, None)
                    good.append((path, small, image))
            if embed is not None and good:
                vectors = _embed(embed, [g[2] for g in good], mirrored)
                for (path, small, _), vector in zip(good, vectors, strict=True):
                    results[path] = (small, vector)
    return results


def _embed(embed, images, mirrored):
    vectors = np.asarray(embed(images), "float32")
    if vectors.ndim != 2 or len(vectors) != len(images):
        raise ValueError(
            "`embed` must return one vector an image, [num_images, width]. "
            f"Received: shape={vectors.shape} for {len(images)} images"
        )
    if not mirrored:
        return vectors
    turned = embed([ImageOps.mirror(image) for image in images])
    return np.stack([vectors, np.asarray(turned, "float32")], axis=1)


def search_chunk(folder, number, num_against, limits):
    """Searches for the images of a shard, unless that was done.

    Args:
        folder: str. Where the shards lie.
        number: int. Which shard of the data.
        num_against: int. How many shards there are to search in.
        limits: `Limits`.
    """
    path = matches_path(folder, number)
    if os.path.exists(path):
        return
    shards = [shard_path(folder, "against", i) for i in range(num_against)]
    # A later job in the same process may use the same folder.
    written = tuple(os.stat(shard).st_mtime_ns for shard in shards)
    index, references = _load_index(tuple(shards), written, limits)
    shard = read_shard(shard_path(folder, "data", number))
    matches = index.search(shard["fingerprints"], shard["embeddings"])
    rows = [
        {
            "line": int(shard["numbers"][match.query]),
            "image": shard["paths"][match.query],
            "duplicate_of": references[match.reference],
            "measure": match.measure,
            "distance": round(match.distance, 6),
            "mirrored": match.mirrored,
        }
        for match in matches
    ]
    summary = {
        "images": len(shard["paths"]),
        "matches": rows,
        "problems": shard["problems"],
    }
    write_json(path, summary)


# A process searches in one set of images again and again.
@functools.lru_cache(maxsize=1)
def _load_index(shards, written, limits):
    prints, embeddings, paths = [], [], []
    for path in shards:
        shard = read_shard(path)
        prints.append(shard["fingerprints"])
        paths.extend(shard["paths"])
        if shard["embeddings"] is not None:
            embeddings.append(shard["embeddings"])
    index = NearDuplicateIndex(
        Fingerprints.joined(prints),
        limits,
        np.concatenate(embeddings) if embeddings else None,
    )
    return index, paths


def forget_index():
    """Frees the memory of the images that were searched in last."""
    _load_index.cache_clear()


def read_matches(folder, number):
    """What `search_chunk` found for a chunk of the data."""
    return read_json(matches_path(folder, number))
