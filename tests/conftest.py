"""Fixtures shared by all tests."""

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def tiny_proto():
    """The bytes of a raw Gemma-like SentencePiece model of 400 pieces."""
    return tiny.tiny_sentencepiece_proto()


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_proto):
    """A `PaliGemmaTokenizer` of 400 + 1024 + 128 pieces."""
    from keras_paligemma.preprocessing import PaliGemmaTokenizer

    return PaliGemmaTokenizer(tiny_proto)


@pytest.fixture(scope="session")
def photographs():
    """Small crops of five photographs, a dict of name to uint8 array."""
    return tiny.photographs()
