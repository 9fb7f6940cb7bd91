"""Tests of `keras_paligemma.training`."""
