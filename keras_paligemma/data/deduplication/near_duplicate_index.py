"""Exact search for near-duplicates among the images that are protected."""

import dataclasses
import warnings

import numpy as np

from keras_paligemma.data.deduplication.embeddings import unit_length
from keras_paligemma.data.deduplication.fingerprints import NUM_REGIONS
from keras_paligemma.data.deduplication.limits import Limits

# In the order in which the surest comes first.
MEASURES = ("whole", "crop", "regions", "frequencies", "embedding")

# The lowest frequencies of a region, 4 of its rows and columns: the surest bits
# of its hash, of which no more than this may differ.
_SUREST = np.array([0xF0] * 4 + [0] * 4, "uint8")
_SUREST_LIMIT = 1

# Regions such as a clear sky are equal in very many pictures: so many images
# are searched for at a time that all their pairs have room in memory.
_QUERIES_AT_ONCE = 128


@dataclasses.dataclass(frozen=True)
class Match:
    """Which image a query is a near-duplicate of, and why.

    Args:
        query: int. The row of the query.
        reference: int. The row of the image in the index.
        measure: str. "whole", "crop", "regions", "frequencies" or
            "embedding".
        distance: float. Bits of 256 that differ ("whole", "crop"), regions of
            nine that differ ("regions"), or one minus the cosine.
        mirrored: bool. Whether left and right are exchanged.
    """

    query: int
    reference: int
    measure: str
    distance: float
    mirrored: bool


class NearDuplicateIndex:
    """Finds near-duplicates of a set of images by their hashes.

    The search is exact: every pair within the limits is found. Its time grows
    with the product of the numbers of images, its memory with the number in
    the index: about 5 kB each.

    Args:
        fingerprints: `Fingerprints` of the images to look for.
        limits: `Limits`.
        embeddings: float array `[num_images, 2, width]` or `None`. Of each
            image as it is, and mirrored.

    Raises:
        ImportError: faiss is not installed.

    Example:

    ```python
    index = NearDuplicateIndex(fingerprint(transfer_images))
    for match in index.search(fingerprint(images)):
        print(match.query, match.reference, match.measure, match.distance)
    ```
    """

    def __init__(self, fingerprints, limits=None, embeddings=None):
        self.limits = limits or Limits()
        faiss = import_faiss()
        sides = (fingerprints, fingerprints.mirrored())
        self._whole = _HammingIndex(
            faiss,
            [side.whole[:, :1] for side in sides],
            [side.textured[:, :1] for side in sides],
        )
        self._crops = _HammingIndex(
            faiss,
            [side.whole[:, 1:] for side in sides],
            [side.textured[:, :1] for side in sides],
        )
        self._regions = [
            _HammingIndex(
                faiss,
                [side.regions[:, [i]] for side in sides],
                [side.textured[:, [i + 1]] for side in sides],
                surest=_SUREST,
            )
            for i in range(NUM_REGIONS)
        ]
        # Entry 2 * i is image i as it is, and 2 * i + 1 mirrored.
        lowest = np.stack([side.lowest for side in sides], axis=1)
        self._lowest = _cosine_index(faiss, lowest)
        self._embeddings = None
        if embeddings is not None:
            self._embeddings = _cosine_index(faiss, embeddings)

    def search(self, fingerprints, embeddings=None):
        """The nearest match of each image that has any.

        Args:
            fingerprints: `Fingerprints` of the images in question.
            embeddings: float array `[num_images, width]` or `None`.

        Returns:
            list of `Match`, in the order of the queries, one a query at most:
            that which is nearest in relation to the limit of its measure.
        """
        matches = []
        for start in range(0, len(fingerprints), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            vectors = None if embeddings is None else embeddings[part]
            for match in self._search_part(fingerprints[part], vectors):
                query = match.query + start
                matches.append(dataclasses.replace(match, query=query))
        return matches

    def _search_part(self, fingerprints, embeddings):
        found = [*self._search_whole(fingerprints)]
        found.append(self._search_regions(fingerprints))
        found.append(
            _search_cosines(
                "frequencies",
                self._lowest,
                fingerprints.lowest,
                self.limits.frequencies,
            )
        )
        if embeddings is not None and self._embeddings is not None:
            found.append(
                _search_cosines(
                    "embedding",
                    self._embeddings,
                    embeddings,
                    self.limits.embedding,
                )
            )
        # Columns: query, closeness, measure, reference, mirrored, distance.
        table = np.concatenate(found)
        table = table[np.lexsort(table.T[4::-1])]
        _, first = np.unique(table[:, 0], return_index=True)
        return [
            Match(
                query=int(row[0]),
                reference=int(row[3]),
                measure=MEASURES[int(row[2])],
                distance=float(row[5]),
                mirrored=bool(row[4]),
            )
            for row in table[first]
        ]

    def _search_whole(self, prints):
        limit = self.limits.whole
        rows = np.flatnonzero(prints.textured[:, 0])
        plain, crops = prints.whole[rows, 0], prints.whole[rows, 1:]
        num_crops = crops.shape[1]
        searches = (
            ("whole", self._whole, plain, rows),
            ("crop", self._crops, plain, rows),
            (
                "crop",
                self._whole,
                crops.reshape(-1, crops.shape[-1]),
                np.repeat(rows, num_crops),
            ),
        )
        for measure, index, codes, rows in searches:
            queries, references, mirrored, bits = index.search(codes, limit)
            yield _rows(
                measure,
                rows[queries],
                references,
                mirrored,
                bits,
                bits / (limit + 1),
            )

    def _search_regions(self, prints):
        votes = []
        for i, index in enumerate(self._regions):
            rows = np.flatnonzero(prints.textured[:, i + 1])
            queries, references, mirrored, _ = index.search(
                prints.regions[rows, i], self.limits.region
            )
            votes.append(
                np.stack([rows[queries], references, mirrored], axis=1)
            )
        pairs, counts = np.unique(
            np.concatenate(votes), axis=0, return_counts=True
        )
        enough = counts >= self.limits.regions
        pairs, differing = pairs[enough], NUM_REGIONS - counts[enough]
        most = NUM_REGIONS - self.limits.regions
        return _rows("regions", *pairs.T, differing, differing / (most + 1))


def _cosine_index(faiss, vectors):
    """An index of `[num_images, 2, width]`: as they are, and mirrored."""
    index = faiss.IndexFlatIP(vectors.shape[-1])
    index.add(unit_length(vectors.reshape(-1, vectors.shape[-1])))
    return index


def _search_cosines(measure, index, vectors, least):
    if not index.ntotal:
        return _rows(measure, *np.zeros((5, 0)))
    cosines, entries = index.search(unit_length(vectors), 1)
    near = np.flatnonzero(cosines[:, 0] >= least)
    distances, entries = 1 - cosines[near, 0], entries[near, 0]
    widest = max(1 - least, 1e-6)
    return _rows(
        measure, near, entries // 2, entries % 2, distances, distances / widest
    )


class _HammingIndex:
    """Codes `[num_images, variants, bytes]` of images and mirrored images.

    Of the bits set in `surest`, no more than a few may differ in a pair.
    """

    def __init__(self, faiss, sides, textured, surest=None):
        codes, references, mirrored = [], [], []
        for side, (code, good) in enumerate(zip(sides, textured, strict=True)):
            rows = np.flatnonzero(good[:, 0])
            codes.append(code[rows].reshape(-1, code.shape[-1]))
            references.append(np.repeat(rows, code.shape[1]).astype("int32"))
            mirrored.append(np.full(len(references[-1]), side, "int8"))
        self._references = np.concatenate(references)
        self._mirrored = np.concatenate(mirrored)
        self._index = faiss.IndexBinaryFlat(sides[0].shape[-1] * 8)
        codes = np.ascontiguousarray(np.concatenate(codes))
        self._index.add(codes)
        self._surest = surest
        self._codes = None if surest is None else codes & surest

    def search(self, codes, limit):
        """All pairs within a distance: rows of queries, rows of references,
        whether mirrored, distances."""
        if not len(codes) or not self._index.ntotal:
            return (np.zeros(0, int),) * 4
        # faiss returns what lies below the radius, not at it.
        ends, distances, entries = self._index.range_search(
            np.ascontiguousarray(codes), limit + 1
        )
        queries = np.repeat(np.arange(len(codes)), np.diff(ends.astype(int)))
        if self._surest is not None:
            differing = (codes[queries] & self._surest) ^ self._codes[entries]
            sure = np.bitwise_count(differing).sum(axis=-1) <= _SUREST_LIMIT
            queries, entries = queries[sure], entries[sure]
            distances = distances[sure]
        return (
            queries,
            self._references[entries],
            self._mirrored[entries],
            distances,
        )


def import_faiss():
    """Imports faiss, which is heavy and optional."""
    try:
        with warnings.catch_warnings():
            # Its generated module sets off warnings of Python's own.
            warnings.simplefilter("ignore")
            import faiss
    except ImportError as error:
        raise ImportError(
            "Searching for near-duplicates needs faiss: "
            "pip install 'keras-paligemma[dedup]'"
        ) from error
    return faiss


def _rows(measure, queries, references, mirrored, distances, closeness):
    number = np.full(len(queries), MEASURES.index(measure))
    columns = (queries, closeness, number, references, mirrored, distances)
    return np.stack([np.asarray(c, "float64") for c in columns], axis=1)
