"""Counts the texts that were cut to fit, and says so once."""

import threading
import warnings


class TruncationCounter:
    """Counts cut prompts and responses, from any number of threads.

    Attributes:
        prompts: int. How many prompts have been cut.
        responses: int. How many responses have been cut.
    """

    def __init__(self):
        self.prompts = 0
        self.responses = 0
        self._warned = False
        self._lock = threading.Lock()

    def add(self, packed, sequence_length):
        """Counts the cuts of some sequences, and warns about the first.

        Args:
            packed: list of `PackedSequence`.
            sequence_length: int. What they were cut to, for the warning.
        """
        cut = [p for p in packed if p.num_cut_prefix or p.num_cut_suffix]
        if not cut:
            return
        with self._lock:
            self.prompts += sum(bool(p.num_cut_prefix) for p in cut)
            self.responses += sum(bool(p.num_cut_suffix) for p in cut)
            warn = not self._warned
            self._warned = True
        if warn:
            warnings.warn(
                f"A text was cut to sequence_length={sequence_length}: "
                f"{cut[0].num_cut_prefix} tokens of a prompt and "
                f"{cut[0].num_cut_suffix} of a response were left out. Give "
                "a larger `sequence_length`, or shorter texts. This is said "
                "once; `truncated_prompts` and `truncated_responses` count.",
                stacklevel=2,
            )
