"""The task of describing what is in a box."""

import re

from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.locations import LOCATION_PATTERN
from keras_paligemma.tasks.locations import read_locations
from keras_paligemma.tasks.task import TextTask

_PREFIX = re.compile(f"caption (?:{LOCATION_PATTERN}){{4}}")


class GroundedCaption(TextTask):
    """Describes a part of an image: `caption {four locations}` -> text.

    Example:

    ```python
    task = GroundedCaption()
    task.prefix(Box(0, 0, 0.5, 1))
    # "caption <loc0000><loc0000><loc0512><loc1023>"
    task.suffix("a white cup")
    ```
    """

    name = "grounded_caption"
    word = "caption"

    def prefix(self, box):
        """Writes the prompt.

        Args:
            box: `Box`. The part to describe; its label is not used.
        """
        return f"{self.word} {box.tokens()}"

    def read_prefix(self, prefix):
        """Reads a prompt as a dict with `box`.

        Raises:
            ValueError: If it is no prompt of this task, or its box is inside
                out.
        """
        if not _PREFIX.fullmatch(prefix.strip()):
            raise self.refuse(prefix, "caption {four location tokens}")
        return {"box": Box(*read_locations(prefix))}
