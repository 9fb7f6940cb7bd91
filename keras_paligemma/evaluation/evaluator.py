"""`Evaluator`: collects what a model answers, and measures it."""

import abc
import collections

from keras_paligemma.tasks import TASKS


class Evaluator(abc.ABC):
    """Measures the predictions of one task, record by record.

    Only what the measures need is kept, so images and masks of earlier
    records may be forgotten.

    Args:
        task: str. A key of `TASKS`.

    Attributes:
        count: int. How many predictions there are.
        unparsable: int. How many of them have not the form of the task.
        problems: `collections.Counter`. What was amiss, by kind.
    """

    def __init__(self, task):
        self.task = TASKS[task]
        self.count = 0
        self.unparsable = 0
        self.problems = collections.Counter()

    def add(self, record, prediction):
        """Takes one prediction.

        Args:
            record: `Record`. With the truth.
            prediction: str, or what the task's `parse` returns.

        Returns:
            dict of what is known of this prediction alone.
        """
        self.count += 1
        row, problems = self.judge(record, prediction)
        self.problems.update(problems)
        self.unparsable += bool(problems)
        return {**row, "problems": sorted(set(problems))}

    @abc.abstractmethod
    def judge(self, record, prediction):
        """Keeps what `metrics` needs of one prediction.

        Returns:
            A tuple of a dict of what is known of this prediction alone, and
            a list of str: the kinds of what is amiss in its form.
        """

    @abc.abstractmethod
    def metrics(self):
        """Returns a dict of name to float, over all predictions."""

    def asked(self, record):
        """What a record's prefix asks, as `read_prefix` has it.

        Empty for a prompt in words of one's own.
        """
        try:
            return self.task.read_prefix(record.prefix)
        except ValueError:
            return {}
