"""The seven tasks by name."""

from keras_paligemma.tasks.answer import Answer
from keras_paligemma.tasks.caption import Caption
from keras_paligemma.tasks.detect import Detect
from keras_paligemma.tasks.grounded_caption import GroundedCaption
from keras_paligemma.tasks.ocr import OCR
from keras_paligemma.tasks.question import Question
from keras_paligemma.tasks.segment import Segment

TASKS = {
    task.name: task
    for task in (
        Caption(),
        OCR(),
        Answer(),
        Question(),
        Detect(),
        Segment(),
        GroundedCaption(),
    )
}


def task_of(prefix):
    """Returns the task that a prefix asks for, or `None`.

    Example:

    ```python
    task_of("detect cat ; dog").name  # "detect"
    task_of("what is this?")  # None
    ```
    """
    return next((task for task in TASKS.values() if task.matches(prefix)), None)
