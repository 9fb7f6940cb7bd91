"""Checkpoints: from a handle to arrays by path, and back to files."""

from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.assign import assign_arrays
from keras_paligemma.checkpoints.canonical import canonical_shapes
from keras_paligemma.checkpoints.checkpoint import Checkpoint
from keras_paligemma.checkpoints.checkpoint import open_checkpoint
from keras_paligemma.checkpoints.export import write_transformers
from keras_paligemma.checkpoints.handles import resolve_handle
from keras_paligemma.checkpoints.lazy_zeros import LazyZeros
from keras_paligemma.checkpoints.position_embedding import (
    resize_position_embedding,
)
from keras_paligemma.checkpoints.position_embedding import (
    resized_position_embedding,
)
from keras_paligemma.checkpoints.published import published_arguments
from keras_paligemma.checkpoints.published import published_name
from keras_paligemma.checkpoints.published import published_presets
from keras_paligemma.checkpoints.sentencepiece_model import (
    sentencepiece_from_tokenizer_json,
)
from keras_paligemma.checkpoints.shipped import shipped_presets
from keras_paligemma.checkpoints.unimodal import PartOfCheckpoint
from keras_paligemma.checkpoints.unimodal import open_decoder
from keras_paligemma.checkpoints.unimodal import open_image_encoder

__all__ = [
    "Checkpoint",
    "LazyArray",
    "LazyZeros",
    "PartOfCheckpoint",
    "assign_arrays",
    "canonical_shapes",
    "open_checkpoint",
    "open_decoder",
    "open_image_encoder",
    "published_arguments",
    "published_name",
    "published_presets",
    "resize_position_embedding",
    "resized_position_embedding",
    "resolve_handle",
    "sentencepiece_from_tokenizer_json",
    "shipped_presets",
    "write_transformers",
]
