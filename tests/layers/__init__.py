"""Tests of `keras_paligemma.layers`."""
