"""The task of finding things, as boxes."""

from keras_paligemma.tasks.labels import read_things
from keras_paligemma.tasks.labels import write_things
from keras_paligemma.tasks.object_text import read_objects
from keras_paligemma.tasks.object_text import write_objects
from keras_paligemma.tasks.results import Detections
from keras_paligemma.tasks.task import Task


class Detect(Task):
    """Finds things: `detect {thing} ; {thing}` -> boxes with labels.

    Example:

    ```python
    task = Detect()
    task.prefix(["cat", "dog"])  # "detect cat ; dog"
    text = task.suffix([Box(0, 0, 0.5, 1, "cat")])
    # "<loc0000><loc0000><loc0512><loc1023> cat"
    found = task.parse(text, things=["cat", "dog"])
    found.boxes[0].label, found.problems  # ("cat", ())
    ```
    """

    name = "detect"
    word = "detect"

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

    def suffix(self, boxes):
        """Writes the answer to learn.

        Args:
            boxes: iterable of `Box`. In the order to write them.

        Returns:
            str. Empty if there are no boxes.

        Raises:
            ValueError: If a label could not be read back.
        """
        return write_objects(boxes)

    def parse(self, text, things=None):
        """Reads an answer, whatever it is.

        Args:
            text: str. What the model wrote.
            things: sequence of str or `None`. What was asked for; other
                labels are kept and reported.

        Returns:
            `Detections`. Its `problems` say what was amiss.
        """
        things = (things,) if isinstance(things, str) else things
        boxes, problems = read_objects(text, with_codes=False, things=things)
        return Detections(tuple(boxes), tuple(problems))
