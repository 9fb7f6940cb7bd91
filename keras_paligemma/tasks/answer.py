"""The task of answering a question about an image."""

from keras_paligemma.tasks.languages import check_language
from keras_paligemma.tasks.task import TextTask
from keras_paligemma.tasks.task import check_text


class Answer(TextTask):
    """Answers a question: `answer {language} {question}` -> answer.

    Example:

    ```python
    task = Answer()
    task.prefix("How many dogs are there?")
    # "answer en How many dogs are there?"
    task.suffix("2")
    ```
    """

    name = "answer"
    word = "answer"

    def prefix(self, question, language="en"):
        """Writes the prompt.

        Args:
            question: str. The question, in any language.
            language: str. One of `LANGUAGES`: that of the answer. The
                published mixture answers in English.

        Raises:
            ValueError: If the language is unknown, or the question empty.
        """
        question = check_text("question", question)
        return f"{self.word} {check_language(language)} {question}"

    def read_prefix(self, prefix):
        """Reads a prompt as a dict with `question` and `language`.

        Raises:
            ValueError: If it is no prompt of this task.
        """
        form = "answer {language} {question}"
        language, question = self.read_language(prefix, form)
        if not question:
            raise self.refuse(prefix, form)
        return {"question": question, "language": language}
