"""The task of reading the text on an image."""

from keras_paligemma.tasks.task import Task


class OCR(Task):
    """Reads the text on an image: `ocr` -> text, in raster order.

    Example:

    ```python
    task = OCR()
    task.prefix()  # "ocr"
    task.suffix(["EXIT", "Gate 12"])  # "EXIT\\nGate 12"
    ```
    """

    name = "ocr"
    word = "ocr"

    def prefix(self):
        """Writes the prompt."""
        return self.word

    def read_prefix(self, prefix):
        """Reads a prompt as an empty dict.

        Raises:
            ValueError: If it is no prompt of this task.
        """
        if prefix.strip() != self.word:
            raise self.refuse(prefix, self.word)
        return {}

    def suffix(self, text):
        """Writes the answer to learn.

        How the published mixture joins pieces of text is not known; here
        each is a line.

        Args:
            text: str, or sequence of str. The whole text, or its pieces in
                raster order: from top to bottom, then from left to right.
                Pieces without text are left out.

        Returns:
            str. Empty if there is no text on the image.
        """
        pieces = [text] if isinstance(text, str) else text
        pieces = [piece.strip() for piece in pieces]
        return "\n".join(piece for piece in pieces if piece)

    def parse(self, text):
        """Reads an answer.

        Args:
            text: str. What the model wrote.

        Returns:
            str. The text on the image; `splitlines()` gives its pieces.
        """
        return text.strip()
