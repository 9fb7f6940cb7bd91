"""Tests of near-duplicate removal."""
