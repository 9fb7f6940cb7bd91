"""The task of describing an image."""

from keras_paligemma.tasks.languages import check_language
from keras_paligemma.tasks.task import TextTask


class Caption(TextTask):
    """Describes an image: `caption {language}` -> text.

    Example:

    ```python
    task = Caption()
    task.prefix("de")  # "caption de"
    task.suffix("Eine Katze auf dem Sofa.")
    ```
    """

    name = "caption"
    word = "caption"

    def prefix(self, language="en"):
        """Writes the prompt.

        Args:
            language: str. One of `LANGUAGES`.

        Raises:
            ValueError: If the language is unknown.
        """
        return f"{self.word} {check_language(language)}"

    def read_prefix(self, prefix):
        """Reads a prompt as a dict with `language`.

        Raises:
            ValueError: If it is no prompt of this task.
        """
        form = "caption {language}"
        language, body = self.read_language(prefix, form)
        if body:
            raise self.refuse(prefix, form)
        return {"language": language}
