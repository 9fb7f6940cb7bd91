"""Decoding: a prefill over the real prompt, then one compiled step a token."""

from keras_paligemma.models.generation.generator import Generator
from keras_paligemma.models.generation.prompts import PromptBatch

__all__ = ["Generator", "PromptBatch"]
