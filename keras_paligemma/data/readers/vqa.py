"""VQA v2: a file of questions and a file of answers."""

import os

from keras_paligemma.data.languages import check_language
from keras_paligemma.data.problems import DataError
from keras_paligemma.data.problems import Problems
from keras_paligemma.data.readers.checked_records import CheckedRecords
from keras_paligemma.data.readers.image_paths import resolve_image
from keras_paligemma.data.readers.json_files import load_json
from keras_paligemma.data.readers.json_files import require
from keras_paligemma.data.readers.json_files import require_id
from keras_paligemma.data.readers.json_files import require_text
from keras_paligemma.data.record import Record


def read_vqa(
    questions,
    annotations,
    image_root,
    image_name="COCO_train2014_{image_id:012d}.jpg",
    language="en",
    all_answers=True,
    on_error="raise",
):
    """The questions of VQA v2, and data sets of its form.

    Args:
        questions: str or path. `v2_OpenEnded_mscoco_train2014_questions.json`.
        annotations: str or path. `v2_mscoco_train2014_annotations.json`.
        image_root: str or path. The folder of the images.
        image_name: str. The name of an image's file, by its `image_id`.
        language: str. Of questions and answers.
        all_answers: bool. Whether a mixture draws one of the ten answers
            each epoch, as the published transfer does; else the most common
            one is the suffix.
        on_error: `"raise"` or `"skip"`.

    Returns:
        sequence of `Record`.

    Example:

    ```python
    records = read_vqa("questions.json", "annotations.json", "train2014")
    records[0].prefix  # "answer en What is this photo taken looking through?"
    records[0].choices  # ("net", "net", "netting", ...)
    ```
    """
    check_language(language, "language")
    path = os.fspath(questions)
    entries = load_json(questions, ("questions",))["questions"]
    problems = Problems(on_error)
    answers = {}
    for answer in load_json(annotations, ("annotations",))["annotations"]:
        good, key = problems.guard(
            require_id, answer, "question_id", os.fspath(annotations)
        )
        if good:
            answers[key] = answer

    def make(entry):
        number = require_id(entry, "question_id", path)
        location = f"{path}:question {number}"
        question = require_text(entry, "question", location)
        answer = answers.get(number)
        if answer is None:
            raise DataError(
                "missing field",
                f"{location}: there is no answer in "
                f"{os.fspath(annotations)!r}.",
            )
        choices = ()
        if all_answers:
            found = require(answer, "answers", location)
            if not isinstance(found, list):
                found = [found]
            choices = tuple(require_text(a, "answer", location) for a in found)
        image_id = require_id(entry, "image_id", location)
        try:
            name = image_name.format(image_id=image_id)
        except (ValueError, LookupError) as error:
            raise DataError(
                "wrong field",
                f"{location}: the name of an image's file must follow from "
                f"its id. Received: image_name={image_name!r}, image_id="
                f"{image_id!r}: {error}.",
            ) from error
        return Record(
            images=(resolve_image(name, os.fspath(image_root), location),),
            prefix=f"answer {language} {question}",
            suffix=choices[0]
            if choices
            else require_text(answer, "multiple_choice_answer", location),
            task="answer",
            location=location,
            choices=choices,
        )

    return CheckedRecords(entries, make, path, problems)
