"""Text that grows by whole characters."""

import pytest

from keras_paligemma.models.text_pieces import TextPieces


def from_bytes(token_ids):
    """Each token is a byte; an unfinished character shows as U+FFFD."""
    return bytes(token_ids).decode("utf-8", errors="replace")


@pytest.mark.parametrize("text", ["a cow", "Käse", "牛 🐄!", ""])
def test_pieces_join_to_the_text(text):
    pieces = TextPieces(from_bytes)
    parts = [pieces.add(byte) for byte in text.encode()]
    assert not any("\ufffd" in part for part in parts)
    assert "".join([*parts, pieces.rest()]) == text


def test_a_character_comes_whole():
    pieces = TextPieces(from_bytes)
    parts = [pieces.add(byte) for byte in "aä🐄b".encode()]
    assert parts == ["a", "", "ä", "", "", "", "🐄", "b"]
    assert pieces.rest() == ""


def test_what_stays_unfinished_comes_at_the_end():
    pieces = TextPieces(from_bytes)
    assert [pieces.add(byte) for byte in b"a\xe7\x89"] == ["a", "", ""]
    assert pieces.rest() == "\ufffd"


def test_nothing_gives_nothing():
    assert TextPieces(from_bytes).rest() == ""
