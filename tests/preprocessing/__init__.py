"""Tests of `keras_paligemma.preprocessing`."""
