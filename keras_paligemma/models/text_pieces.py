"""Turns tokens that come one by one into text that only ever grows."""


class TextPieces:
    """The text of one row while it is decoded.

    A token may be part of a character, so text is held back while it ends
    in an unfinished one.

    Args:
        detokenize: callable of a list of ints that returns their text.

    Example:
    ```python
    pieces = TextPieces(tokenizer.detokenize)
    [pieces.add(t) for t in tokenizer("a cow")]  # ["a", " cow"]
    ```
    """

    def __init__(self, detokenize):
        self._detokenize = detokenize
        self._token_ids = []
        self._given = 0

    def add(self, token_id):
        """Takes one more token; returns the text that became certain."""
        self._token_ids.append(token_id)
        text = self._detokenize(self._token_ids)
        return self._give(text, len(text.rstrip("\ufffd")))

    def rest(self):
        """Returns what was held back to the end."""
        text = self._detokenize(self._token_ids) if self._token_ids else ""
        return self._give(text, len(text))

    def _give(self, text, end):
        piece = text[self._given : end]
        self._given = max(self._given, end)
        return piece
