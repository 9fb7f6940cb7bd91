"""Images as vectors, and the copies that these find."""

import os

import numpy as np
import pytest

from keras_paligemma.data.deduplication import Limits
from keras_paligemma.data.deduplication import image_embedder
from tests.data.deduplication.jobs import read_lines
from tests.data.deduplication.jobs import run
from tests.data.deduplication.pictures import picture
from tests.data.deduplication.pictures import write_records

pytest.importorskip("faiss")


def test_embeddings_find_what_hashes_do_not(folder, tmp_path):
    def encode(pixels):  # Mean colours, which rotating does not change.
        return pixels.mean(axis=(1, 2))[:, None]

    rotated = {"r.png": picture(1000).rotate(90)}
    data = write_records(tmp_path / "d" / "data.jsonl", rotated)
    out = tmp_path / "clean.jsonl"
    options = {"data": data, "limits": Limits(embedding=0.9999)}
    assert run(folder, out, **options)["removed"] == 0
    embed = image_embedder(encode, 32)
    summary = run(folder, out, **options, embed=embed)
    assert summary["removed_by_measure"]["embedding"] == 1
    (row,) = read_lines(tmp_path / "clean.report" / "removed.jsonl")
    assert os.path.basename(row["duplicate_of"]) == "t0.png"


def test_the_embedder_pools_and_normalises_in_batches_of_one_size():
    shapes = []

    def encode(pixels):
        shapes.append(pixels.shape)
        assert pixels.dtype == np.float32
        assert -1 <= pixels.min() and pixels.max() <= 1
        return pixels[:, ::4, ::4].reshape(len(pixels), -1, 3)

    images = [picture(seed) for seed in range(18)]
    vectors = image_embedder(encode, 16)(images)
    assert set(shapes) == {(16, 16, 16, 3)} and vectors.shape == (18, 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    alone = image_embedder(encode, 16)(images[17:])
    np.testing.assert_array_equal(alone[0], vectors[17])
    with pytest.raises(ValueError, match="Received: shape="):
        image_embedder(lambda pixels: pixels[:, 0, 0], 16)(images)
