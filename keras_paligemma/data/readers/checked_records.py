"""A sequence of records over a list, checked when it is made."""

from collections.abc import Sequence

from keras_paligemma.data.problems import Problems


class CheckedRecords(Sequence):
    """Records made one by one from the entries of a list.

    Args:
        entries: sequence. What `make` turns into records.
        make: callable of an entry that returns a `Record`, or raises
            `DataError`.
        name: str. What errors call the data set.
        on_error: `"raise"`, `"skip"`, or `Problems` that were counted
            already.
        check: callable of an entry that raises `DataError` for a faulty one,
            cheaper than `make`; `make` by default.

    Raises:
        ValueError: If an entry is faulty, or if no record is left.
    """

    def __init__(self, entries, make, name, on_error="raise", check=None):
        known = isinstance(on_error, Problems)
        self.problems = on_error if known else Problems(on_error)
        self._make = make
        check = check or make
        self._entries = [e for e in entries if self.problems.guard(check, e)[0]]
        if not self._entries:
            raise ValueError(
                f"{name}: there is no usable record. Received: "
                f"skipped={self.problems.counts}"
            )

    def __len__(self):
        return len(self._entries)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._make(entry) for entry in self._entries[index]]
        return self._make(self._entries[index])
