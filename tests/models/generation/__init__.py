"""Tests of `keras_paligemma.models.generation`."""
