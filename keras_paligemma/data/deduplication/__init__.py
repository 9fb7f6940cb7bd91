"""Near-duplicates: finding them, and removing them from training data."""

from keras_paligemma.data.deduplication.embeddings import image_embedder
from keras_paligemma.data.deduplication.fingerprints import Fingerprints
from keras_paligemma.data.deduplication.fingerprints import fingerprint
from keras_paligemma.data.deduplication.job import deduplicate
from keras_paligemma.data.deduplication.limits import Limits
from keras_paligemma.data.deduplication.near_duplicate_index import Match
from keras_paligemma.data.deduplication.near_duplicate_index import (
    NearDuplicateIndex,
)
from keras_paligemma.data.deduplication.ray_map import RayMap

__all__ = [
    "Fingerprints",
    "Limits",
    "Match",
    "NearDuplicateIndex",
    "RayMap",
    "deduplicate",
    "fingerprint",
    "image_embedder",
]
