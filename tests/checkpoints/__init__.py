"""Tests of `keras_paligemma.checkpoints`."""
