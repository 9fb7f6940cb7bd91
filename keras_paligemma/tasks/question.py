"""The task of asking a question that has a given answer."""

from keras_paligemma.tasks.languages import check_language
from keras_paligemma.tasks.task import TextTask
from keras_paligemma.tasks.task import check_text


class Question(TextTask):
    """Asks what the answer answers: `question {language} {answer}` -> question.

    Example:

    ```python
    task = Question()
    task.prefix("2", language="de")  # "question de 2"
    task.suffix("Wie viele Hunde sind da?")
    ```
    """

    name = "question"
    word = "question"

    def prefix(self, answer, language="en"):
        """Writes the prompt.

        Args:
            answer: str. The answer, in English.
            language: str. One of `LANGUAGES`: that of the question.

        Raises:
            ValueError: If the language is unknown, or the answer empty.
        """
        answer = check_text("answer", answer)
        return f"{self.word} {check_language(language)} {answer}"

    def read_prefix(self, prefix):
        """Reads a prompt as a dict with `answer` and `language`.

        Raises:
            ValueError: If it is no prompt of this task.
        """
        form = "question {language} {answer}"
        language, answer = self.read_language(prefix, form)
        if not answer:
            raise self.refuse(prefix, form)
        return {"answer": answer, "language": language}
