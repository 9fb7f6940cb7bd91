"""Tests of `keras_paligemma.data.readers`."""
