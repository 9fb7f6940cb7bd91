"""The search, compared with comparing every pair."""

import sys

import numpy as np
import pytest

from keras_paligemma.data.deduplication import Fingerprints
from keras_paligemma.data.deduplication import Limits
from keras_paligemma.data.deduplication import NearDuplicateIndex
from keras_paligemma.data.deduplication.near_duplicate_index import MEASURES

pytest.importorskip("faiss")


def random_prints(generator, near, count):
    """Random hashes; some are those of `near` with some bits turned."""
    arrays = {}
    for name, shape in (("whole", (16, 32)), ("regions", (9, 8))):
        codes = generator.integers(0, 256, (count, *shape), "uint8")
        if near is not None:
            others = getattr(near, name)
            for row in range(0, count, 2):
                part = others[generator.integers(len(others))]
                share = generator.uniform(0, 0.25)
                turned = generator.random((*shape, 8)) < share
                codes[row] = part ^ np.packbits(turned, axis=-1)[..., 0]
                if name == "whole" and row % 4 == 2:
                    # A crop of this image is near to all of the other.
                    codes[row, 3] = codes[row, 0]
                    codes[row, 0] = generator.integers(0, 256, 32, "uint8")
        arrays[name] = codes
    textured = generator.random((count, 10)) < 0.8
    lowest = generator.normal(size=(count, 63)).astype("float32")
    if near is not None:
        for row in range(0, count, 3):
            lowest[row] *= generator.uniform(0, 0.03)
            lowest[row] += near.lowest[generator.integers(len(near))]
    return Fingerprints(**arrays, textured=textured, lowest=unit(lowest))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def bits(a, b):
    return int(np.bitwise_count(a ^ b).sum())


def nearest_by_comparing_all(references, queries, limits):
    """Every pair, one after the other, in the words of the docstrings."""
    sides = (references, references.mirrored())
    best = []
    for q in range(len(queries)):
        found = []
        for r in range(len(references)):
            for side in (0, 1):
                there = sides[side]
                if queries.textured[q, 0] and there.textured[r, 0]:
                    here = queries.whole[q]
                    code = there.whole[r]
                    plain = bits(here[0], code[0])
                    crop = min(
                        min(bits(here[0], code[c]), bits(here[c], code[0]))
                        for c in range(1, 16)
                    )
                    for number, distance in enumerate((plain, crop)):
                        if distance <= limits.whole:
                            near = distance / (limits.whole + 1)
                            found.append((near, number, r, side, distance))
                equal = 0
                for i in range(9):
                    here, code = queries.regions[q, i], there.regions[r, i]
                    # Of each of the first four rows the first four bits.
                    sure = bits(here[:4] >> 4, code[:4] >> 4) <= 1
                    near = sure and bits(here, code) <= limits.region
                    known = queries.textured[q, i + 1]
                    equal += near and known and there.textured[r, i + 1]
                if equal >= limits.regions:
                    near = (9 - equal) / (9 - limits.regions + 1)
                    found.append((near, 2, r, side, 9 - equal))
                cosine = float(queries.lowest[q] @ there.lowest[r])
                if cosine >= limits.frequencies:
                    near = (1 - cosine) / (1 - limits.frequencies)
                    found.append((near, 3, r, side, 1 - cosine))
        if found:
            best.append((q, *min(found)))
    return best


def test_the_search_finds_what_comparing_all_finds():
    measures = set()
    for seed in range(6):
        compare_with_all(seed, measures)
    assert measures == {"whole", "crop", "regions", "frequencies"}


def compare_with_all(seed, measures):
    generator = np.random.default_rng(seed)
    references = random_prints(generator, None, 12)
    side = references if seed % 2 else references.mirrored()
    queries = random_prints(generator, side, 16)
    limits = Limits(whole=60, region=14, regions=1 + seed % 4, frequencies=0.98)
    expected = nearest_by_comparing_all(references, queries, limits)
    assert len(expected) >= 3
    found = NearDuplicateIndex(references, limits).search(queries)
    assert [
        (m.query, MEASURES.index(m.measure), m.reference, m.mirrored)
        for m in found
    ] == [(q, number, r, bool(s)) for q, _, number, r, s, _ in expected]
    np.testing.assert_allclose(
        [m.distance for m in found],
        [row[-1] for row in expected],
        rtol=1e-6,
        atol=1e-6,
    )
    measures.update(m.measure for m in found)


@pytest.mark.parametrize("apart", [0, 1, 20, 21])
def test_a_limit_counts_as_near(apart):
    generator = np.random.default_rng(0)
    reference = random_prints(generator, None, 1)
    textured = np.zeros((1, 10), bool)
    textured[:, 0] = True
    turned = np.packbits(np.arange(256) < apart)
    whole = generator.integers(0, 256, (1, 16, 32), "uint8")
    whole[0, 0] = reference.whole[0, 0] ^ turned
    none = np.zeros((1, 63), "float32")
    query = Fingerprints(whole, reference.regions, textured, none)
    reference = Fingerprints(reference.whole, reference.regions, textured, none)
    index = NearDuplicateIndex(reference, Limits(whole=20))
    matches = index.search(query)
    assert [m.distance for m in matches] == ([apart] if apart <= 20 else [])


def test_embeddings_are_compared_by_cosine_plain_and_mirrored():
    generator = np.random.default_rng(1)
    prints = random_prints(generator, None, 3)
    flat = Fingerprints(
        prints.whole,
        prints.regions,
        np.zeros((3, 10), bool),
        np.zeros((3, 63), "float32"),
    )
    vectors = generator.normal(size=(3, 2, 8)).astype("float32")
    index = NearDuplicateIndex(flat, Limits(embedding=0.99), vectors)
    queries = np.stack([5 * vectors[2, 0], vectors[1, 1], -vectors[0, 0]])
    matches = index.search(flat, queries)
    assert [(m.query, m.reference, m.mirrored) for m in matches] == [
        (0, 2, False),
        (1, 1, True),
    ]
    assert {m.measure for m in matches} == {"embedding"}
    assert max(m.distance for m in matches) < 1e-5


def test_nothing_to_search_in_or_for():
    generator = np.random.default_rng(2)
    some, none = random_prints(generator, None, 3), Fingerprints.joined([])
    assert NearDuplicateIndex(none).search(some) == []
    assert NearDuplicateIndex(some).search(none) == []


def test_without_faiss_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"keras-paligemma\[dedup\]"):
        NearDuplicateIndex(Fingerprints.joined([]))
