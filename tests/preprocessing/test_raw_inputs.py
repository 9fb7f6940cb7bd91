import numpy as np
import pytest
import tensorflow as tf

from keras_paligemma.preprocessing.raw_inputs import as_texts
from keras_paligemma.preprocessing.raw_inputs import clean_prompt
from keras_paligemma.preprocessing.raw_inputs import group_images
from keras_paligemma.preprocessing.raw_inputs import pad_images

IMAGE = np.zeros((4, 5, 3), "uint8")


@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [
        ("caption en", "caption en"),
        ("caption en\n", "caption en"),
        ("caption en\n\n", "caption en\n"),
        ("<image>caption en", "caption en"),
        ("<image> caption en", "caption en"),
        ("<image><image><bos>caption en\n", "caption en"),
        ("<bos><bos><bos>caption en", "caption en"),
        (" caption en", " caption en"),
        ("what is <image>", "what is <image>"),
        ("<image>\n", ""),
        ("", ""),
    ],
)
def test_clean_prompt(prompt, cleaned):
    assert clean_prompt(prompt) == cleaned


@pytest.mark.parametrize(
    "value",
    [
        ["a", "ü"],
        ("a", "ü"),
        [b"a", "ü".encode()],
        np.array(["a", "ü"]),
        np.array(["a", "ü"], dtype=object),
        tf.constant(["a", "ü"]),
    ],
    ids=str,
)
def test_batches_of_texts(value):
    assert as_texts(value, "prompts") == (["a", "ü"], True)


@pytest.mark.parametrize(
    "value", ["ü", "ü".encode(), np.str_("ü"), np.array("ü"), tf.constant("ü")]
)
def test_one_text(value):
    texts, batched = as_texts(value, "prompts")
    assert (texts, batched) == (["ü"], False)
    assert type(texts[0]) is str


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "int"), (["a", None], "NoneType"), ([["a"]], "list"), (1.5, "float")],
)
def test_what_is_no_text_is_refused(value, name):
    with pytest.raises(ValueError, match=f"`prompts`.*type={name}"):
        as_texts(value, "prompts")


@pytest.mark.parametrize(
    ("images", "num_examples", "sizes"),
    [
        ([IMAGE, IMAGE], 2, [1, 1]),
        (["a.png", "b.png"], 2, [1, 1]),
        (np.array(["a.png", "b.png"]), 2, [1, 1]),
        (np.stack([IMAGE, IMAGE]), 2, [1, 1]),
        ([[IMAGE, IMAGE], [IMAGE]], 2, [2, 1]),
        ([[IMAGE, IMAGE], IMAGE], 2, [2, 1]),
        ([np.stack([IMAGE] * 3), IMAGE], 2, [3, 1]),
        (np.stack([[IMAGE] * 3] * 2), 2, [3, 3]),
        (np.array([["a.png", "b.png"]]), 1, [2]),
        (IMAGE, 1, [1]),
        ("a.png", 1, [1]),
        ([IMAGE], 1, [1]),
        ([[IMAGE, IMAGE]], 1, [2]),
    ],
)
def test_images_of_a_batch(images, num_examples, sizes):
    groups = group_images(images, True, num_examples)
    assert [len(group) for group in groups] == sizes


@pytest.mark.parametrize(
    ("images", "size"),
    [
        (IMAGE, 1),
        (IMAGE[..., 0], 1),
        ("a.png", 1),
        ([IMAGE, "a.png"], 2),
        (np.stack([IMAGE] * 3), 3),
    ],
)
def test_images_of_one_example(images, size):
    (group,) = group_images(images, False, 1)
    assert len(group) == size


@pytest.mark.parametrize(
    ("images", "num_examples"),
    [([IMAGE] * 3, 2), (IMAGE, 2), ([IMAGE] * 3, 1), ("a.png", 3)],
)
def test_other_numbers_of_images_are_refused(images, num_examples):
    with pytest.raises(ValueError, match=f"and {num_examples} prompts"):
        group_images(images, True, num_examples)


def test_padding_literal_of_the_docstring():
    stacked = np.arange(1, 4, dtype="float32").reshape(3, 1, 1, 1)
    padded = pad_images(stacked, [2, 1])
    assert padded["images"][..., 0, 0, 0].tolist() == [[1, 2], [3, 0]]
    assert padded["image_mask"].tolist() == [[1, 1], [1, 0]]
    assert pad_images(stacked, [1, 1, 1]) == {"images": stacked}
    kept = pad_images(stacked, [1, 1, 1], several=True)
    assert kept["images"].shape == (3, 1, 1, 1, 1)
    assert kept["image_mask"].tolist() == [[1], [1], [1]]
