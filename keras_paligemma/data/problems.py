"""What to do about a faulty example: stop, or skip and count."""

import collections

ON_ERROR = ("raise", "skip")


class DataError(ValueError):
    """A faulty example; `reason` is its kind in a few words."""

    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason

    def __reduce__(self):
        # Reader processes send it back to the one that asked.
        return type(self), (self.reason, str(self))


class Problems:
    """Counts faulty examples by reason, or raises at the first.

    Args:
        on_error: `"raise"` or `"skip"`.

    Example:

    ```python
    problems = Problems(on_error="skip")
    problems.report("missing field", "train.jsonl:7: there is no 'prefix'.")
    problems.counts  # {"missing field": 1}
    problems.examples  # {"missing field": ["train.jsonl:7: there is ..."]}
    ```
    """

    # How many texts are kept for each reason.
    num_examples = 5

    def __init__(self, on_error="raise"):
        if on_error not in ON_ERROR:
            raise ValueError(
                '`on_error` must be "raise" or "skip". Received: '
                f"on_error={on_error!r}"
            )
        self.on_error = on_error
        self._counts = collections.Counter()
        self.examples = {}

    @property
    def counts(self):
        """dict of reason to the number of examples skipped for it."""
        return dict(self._counts)

    def report(self, reason, message):
        """Raises `DataError`, or counts.

        Args:
            reason: str. The kind of the fault.
            message: str. The full text, beginning with file and line.
        """
        if self.on_error == "raise":
            raise DataError(
                reason, f'{message} Mend it, or pass `on_error="skip"`.'
            )
        self._counts[reason] += 1
        texts = self.examples.setdefault(reason, [])
        if len(texts) < self.num_examples:
            texts.append(message)

    def guard(self, function, *args):
        """Calls a function; a `DataError` in it is raised or counted.

        Returns:
            A pair: whether it went well, and what it returned or `None`.
        """
        try:
            return True, function(*args)
        except DataError as error:
            self.report(error.reason, str(error))
            return False, None

    def merge(self, counts):
        """Adds counts that another process made, a dict."""
        self._counts.update(counts)
