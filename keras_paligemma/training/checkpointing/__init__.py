"""Checkpoints of a training run: everything that a resumed run needs."""

from keras_paligemma.training.checkpointing.store import CheckpointStore

__all__ = ["CheckpointStore"]
