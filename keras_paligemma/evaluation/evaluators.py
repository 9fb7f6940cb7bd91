"""The evaluator of each task, by the task's name."""

from keras_paligemma.evaluation.object_evaluators import DetectEvaluator
from keras_paligemma.evaluation.object_evaluators import SegmentEvaluator
from keras_paligemma.evaluation.text_evaluators import AnswerEvaluator
from keras_paligemma.evaluation.text_evaluators import GroundedCaptionEvaluator
from keras_paligemma.evaluation.text_evaluators import OCREvaluator
from keras_paligemma.evaluation.text_evaluators import QuestionEvaluator
from keras_paligemma.evaluation.text_evaluators import TextEvaluator

EVALUATORS = {
    "caption": TextEvaluator,
    "ocr": OCREvaluator,
    "answer": AnswerEvaluator,
    "question": QuestionEvaluator,
    "detect": DetectEvaluator,
    "segment": SegmentEvaluator,
    "grounded_caption": GroundedCaptionEvaluator,
}
# What a task is judged by, the first to be looked at.
MAIN_METRICS = {
    "caption": "exact_match",
    "ocr": "character_error_rate",
    "answer": "accuracy",
    "question": "valid",
    "detect": "mAP@0.5",
    "segment": "mean_iou",
    "grounded_caption": "exact_match",
}


def make_evaluator(task, codec=None):
    """Makes the evaluator of a task.

    Args:
        task: str. A key of `keras_paligemma.tasks.TASKS`.
        codec: the codec of masks, for the task segment.

    Returns:
        An `Evaluator`.

    Raises:
        ValueError: If there is no such task.

    Example:

    ```python
    evaluator = make_evaluator("answer")
    for record, text in zip(records, texts):
        evaluator.add(record, text)
    evaluator.metrics()  # {"accuracy": 0.93, "accuracy_unordered": 0.94}
    ```
    """
    if task not in EVALUATORS:
        raise ValueError(
            f"`task` must be one of {', '.join(EVALUATORS)}. Received: "
            f"task={task!r}"
        )
    if task == "segment":
        return SegmentEvaluator(codec=codec)
    return EVALUATORS[task](task)
