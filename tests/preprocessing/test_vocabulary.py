"""A vocabulary trained on one's own texts is one that PaliGemma takes."""

import pytest

from keras_paligemma.preprocessing import PaliGemmaTokenizer
from keras_paligemma.preprocessing import train_sentencepiece

TEXTS = ["a red circle", "a blue star"] * 50


def test_the_docstrings_example():
    proto = train_sentencepiece(TEXTS, 290)
    assert proto == train_sentencepiece(iter(TEXTS), 290)
    tokenizer = PaliGemmaTokenizer(proto)
    assert tokenizer.vocabulary_size() == 290 + 1152
    # Bytes stand in for letters that were not in the texts.
    for text in ("a red star", "ein roter Stern, größer", "  two  blanks"):
        assert tokenizer.detokenize([tokenizer(text)]) == [text]


def test_more_pieces_than_the_texts_hold():
    with pytest.raises(RuntimeError):
        train_sentencepiece(TEXTS, 2000)
    tokenizer = PaliGemmaTokenizer(
        train_sentencepiece(TEXTS, 2000, exact=False)
    )
    assert tokenizer.vocabulary_size() < 2000 + 1152
