import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_paligemma.tasks import LANGUAGES
from keras_paligemma.tasks import TASKS
from keras_paligemma.tasks import Box
from keras_paligemma.tasks import task_of
from tests.tasks import strategies

PREFIXES = {
    "caption": ("caption de", {"language": "de"}),
    "ocr": ("ocr", {}),
    "answer": (
        "answer en how many dogs are there?",
        {"question": "how many dogs are there?", "language": "en"},
    ),
    "question": ("question fil 2", {"answer": "2", "language": "fil"}),
    "detect": ("detect cat ; hot dog", {"things": ("cat", "hot dog")}),
    "segment": ("segment a;b", {"things": ("a;b",)}),
    "grounded_caption": (
        "caption <loc0000><loc0000><loc1023><loc1023>",
        {"box": Box(0, 0, 1, 1)},
    ),
}


def test_the_seven_tasks_by_name():
    assert list(TASKS) == list(PREFIXES)
    assert all(task.name == name for name, task in TASKS.items())


@pytest.mark.parametrize("name", TASKS)
def test_prefixes_on_literals(name):
    prefix, arguments = PREFIXES[name]
    assert TASKS[name].prefix(**arguments) == prefix
    assert TASKS[name].read_prefix(prefix) == arguments
    assert TASKS[name].read_prefix(prefix + "\n") == arguments


@pytest.mark.parametrize("name", TASKS)
def test_each_prefix_is_of_one_task(name):
    prefix, _ = PREFIXES[name]
    matching = [task.name for task in TASKS.values() if task.matches(prefix)]
    assert matching == [name]
    assert task_of(prefix) is TASKS[name]


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "what is this?", "caption", "caption xx", "caption en cat"),
        *("ocr en", "answer en", "answer cat", "question", "detect", "detect "),
        *("detecting cat", "segment ; ", "caption <loc0000>"),
        "caption <loc0900><loc0000><loc0100><loc1023>",
    ],
)
def test_a_prefix_of_no_task(prefix):
    assert task_of(prefix) is None


def test_there_are_35_languages():
    assert len(set(LANGUAGES)) == 35


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("caption", {}),
        ("answer", {"question": "why?"}),
        ("question", {"answer": "2"}),
    ],
)
def test_an_unknown_language(name, arguments):
    for language in ("xx", "", None, "EN", "english"):
        with pytest.raises(ValueError, match="language="):
            TASKS[name].prefix(**arguments, language=language)
    for language in LANGUAGES:
        TASKS[name].prefix(**arguments, language=language)


TEXT_TASKS = ["caption", "answer", "question", "grounded_caption"]


@given(st.text(), st.sampled_from(TEXT_TASKS))
def test_text_comes_back(text, name):
    task = TASKS[name]
    if text.strip():
        assert task.parse(task.suffix(text)) == text.strip()
    else:
        with pytest.raises(ValueError, match="not empty"):
            task.suffix(text)


@given(st.text(), st.sampled_from(LANGUAGES))
def test_prefixes_with_any_text_come_back(text, language):
    for name, key in (("answer", "question"), ("question", "answer")):
        arguments = {key: text.strip(), "language": language}
        if not text.strip():
            with pytest.raises(ValueError, match=f"{key}="):
                TASKS[name].prefix(**arguments)
            continue
        prefix = TASKS[name].prefix(**arguments)
        assert TASKS[name].read_prefix(prefix) == arguments


@given(strategies.boxes())
def test_a_box_to_describe_comes_back(box):
    task = TASKS["grounded_caption"]
    edges = task.read_prefix(task.prefix(box))["box"].yxyx
    for edge, original in zip(edges, box.yxyx, strict=True):
        assert abs(edge - original) <= 0.5 / 1023 + 1e-12


def test_text_on_an_image():
    task = TASKS["ocr"]
    assert task.suffix([" EXIT", "", "Gate 12"]) == "EXIT\nGate 12"
    assert task.suffix("EXIT") == "EXIT"
    assert task.suffix([]) == ""
    assert task.parse("EXIT\nGate 12\n").splitlines() == ["EXIT", "Gate 12"]
