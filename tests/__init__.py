"""Tests of keras_paligemma; `python -m tests` runs them on every backend."""
