"""The task of finding things, as masks."""

from keras_paligemma.tasks.labels import read_things
from keras_paligemma.tasks.labels import write_things
from keras_paligemma.tasks.object_text import read_objects
from keras_paligemma.tasks.object_text import write_objects
from keras_paligemma.tasks.results import Segmentations
from keras_paligemma.tasks.task import Task


class Segment(Task):
    """Outlines things: `segment {thing} ; {thing}` -> masks with labels.

    Example:

    ```python
    task = Segment()
    task.prefix("cat")  # "segment cat"
    text = task.suffix([Mask(Box(0, 0, 0.5, 1, "cat"), range(16))])
    # "<loc0000><loc0000><loc0512><loc1023><seg000>...<seg015> cat"
    task.parse(text).masks[0].codes  # (0, 1, ..., 15)
    ```
    """

    name = "segment"
    word = "segment"

    def prefix(self, things):
        """Writes the prompt.

        Args:
            things: str or sequence of str. What to look for.

        Raises:
            ValueError: If there is nothing to look for, a thing is named
                twice, or its name could not be read back.
        """
        return write_things(self.word, things)

    def read_prefix(self, prefix):
        """Reads a prompt as a dict with `things`, a tuple of str.

        Raises:
            ValueError: If it is no prompt of this task.
        """
        return {"things": read_things(self.word, prefix)}

    def suffix(self, masks):
        """Writes the answer to learn.

        Args:
            masks: iterable of `Mask`. In the order to write them.

        Returns:
            str. Empty if there are no masks.

        Raises:
            ValueError: If a label could not be read back.
        """
        return write_objects(masks)

    def parse(self, text, things=None):
        """Reads an answer, whatever it is.

        Args:
            text: str. What the model wrote.
            things: sequence of str or `None`. What was asked for; other
                labels are kept and reported.

        Returns:
            `Segmentations`. Its `problems` say what was amiss.
        """
        things = (things,) if isinstance(things, str) else things
        masks, problems = read_objects(text, with_codes=True, things=things)
        return Segmentations(tuple(masks), tuple(problems))
