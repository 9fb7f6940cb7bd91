"""`Task`: what all tasks have, and checks of the texts they are given."""

import re

from keras_paligemma.tasks.languages import check_language


class Task:
    """One thing that the model can be asked to do.

    A task writes the prompt (`prefix`) and the answer to learn (`suffix`),
    and reads an answer (`parse`). `read_prefix` is the inverse of `prefix`:
    `task.prefix(**task.read_prefix(prefix)) == prefix`.

    Attributes:
        name: str. The key in `TASKS`.
        word: str. The first word of the prefix.
    """

    name = None
    word = None

    def matches(self, prefix):
        """Whether a prefix asks for this task."""
        try:
            self.read_prefix(prefix)
        except ValueError:
            return False
        return True

    def refuse(self, prefix, form):
        """Returns the error for a prefix that is not of this task."""
        return ValueError(
            f"The prefix of the task {self.name!r} must be {form!r}. "
            f"Received: prefix={prefix!r:.200}"
        )

    def read_language(self, prefix, form):
        """Splits `{word} {language} {body}` into the language and the body."""
        found = re.fullmatch(
            rf"{self.word} ([a-z]+)(?: (.*))?", prefix.strip(), re.DOTALL
        )
        if found is None:
            raise self.refuse(prefix, form)
        return check_language(found[1]), (found[2] or "").strip()


class TextTask(Task):
    """A task that is answered with free text."""

    def suffix(self, text):
        """Writes the answer to learn.

        Args:
            text: str. The answer; blanks around it are removed.

        Returns:
            str.

        Raises:
            ValueError: If there is no text.
        """
        return check_text("text", text)

    def parse(self, text):
        """Reads an answer.

        Args:
            text: str. What the model wrote.

        Returns:
            str. The answer without blanks around it.
        """
        return text.strip()


def check_text(name, text):
    """Returns a text without the blanks around it.

    Raises:
        ValueError: If it is no string, or nothing but blanks.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(
            f"`{name}` must be a string that is not empty. Received: "
            f"{name}={text!r:.200}. Leave examples without text out."
        )
    return text.strip()
