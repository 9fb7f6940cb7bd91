"""Evaluators of the tasks that are answered with text."""

import re

from keras_paligemma.evaluation.answers import correct_answers
from keras_paligemma.evaluation.answers import references_of
from keras_paligemma.evaluation.answers import valid_questions
from keras_paligemma.evaluation.detection import size_of
from keras_paligemma.evaluation.evaluator import Evaluator
from keras_paligemma.evaluation.text_scores import character_errors
from keras_paligemma.evaluation.text_scores import exact_match
from keras_paligemma.evaluation.text_scores import share

_TOKEN = re.compile(r"<(?:loc\d{4}|seg\d{3})>")


class TextEvaluator(Evaluator):
    """Exact match, over all and by a group such as the language.

    What is no text (nothing at all, or location tokens) is unparsable.
    """

    measure = "exact_match"
    may_be_empty = False

    def __init__(self, task):
        super().__init__(task)
        self.rows = []

    def judge(self, record, prediction):
        text = self.task.parse(prediction)
        row = self.score(record, text)
        self.rows.append((self.group(record), row))
        problems = ["tokens_in_text"] if _TOKEN.search(text) else []
        if not text and not self.may_be_empty:
            problems.append("empty")
        return row, problems

    def metrics(self):
        """The share that is right, and that of each group where several."""
        # Only some records may tell whether a question is valid.
        names = [
            name
            for name in (self.rows[0][1] if self.rows else [self.measure])
            if all(name in row for _, row in self.rows)
        ]
        groups = sorted({group for group, _ in self.rows if group})
        metrics = {
            name: share([row[name] for _, row in self.rows]) for name in names
        }
        if len(groups) > 1:
            for group in groups:
                of_group = [row for mine, row in self.rows if mine == group]
                for name in names:
                    metrics[f"{name}/{group}"] = share(
                        [row[name] for row in of_group]
                    )
        return metrics

    def score(self, record, text):
        """dict of measures of one text, bools."""
        right = exact_match([text], [references_of(record)])
        return {"exact_match": bool(right)}

    def group(self, record):
        """The language of the prompt, or `None`."""
        return self.asked(record).get("language")


class OCREvaluator(TextEvaluator):
    """Character error over all texts, and exact match."""

    may_be_empty = True

    def score(self, record, text):
        errors, characters = character_errors(text, references_of(record))
        return {
            **super().score(record, text),
            "errors": errors,
            "characters": characters,
        }

    def metrics(self):
        rows = [row for _, row in self.rows]
        errors = sum(row["errors"] for row in rows)
        characters = sum(row["characters"] for row in rows)
        return {
            "character_error_rate": errors / max(1, characters),
            "exact_match": share([row["exact_match"] for row in rows]),
        }


class AnswerEvaluator(TextEvaluator):
    """The share of right answers, lists in order and in any order."""

    measure = "accuracy"

    def score(self, record, text):
        right = [references_of(record)]
        return {
            "accuracy": bool(correct_answers([text], right)[0]),
            "accuracy_unordered": bool(
                correct_answers([text], right, ordered=False)[0]
            ),
        }


class QuestionEvaluator(TextEvaluator):
    """The share of valid questions, and exact match.

    Whether a question is valid is known of the synthetic world's records.
    """

    def score(self, record, text):
        row = super().score(record, text)
        scene = getattr(record, "scene", None)
        asked = self.asked(record)
        if scene is not None and asked:
            (valid,) = valid_questions(
                [text], [scene], [asked["answer"]], [asked["language"]]
            )
            row = {"valid": bool(valid), **row}
        return row


class GroundedCaptionEvaluator(TextEvaluator):
    """Exact match, over all and by the size of the box of the prompt."""

    def group(self, record):
        box = self.asked(record).get("box")
        return None if box is None else size_of(box)
