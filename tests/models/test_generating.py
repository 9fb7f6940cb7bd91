"""`generate` and `generate_stream` on images and text."""

import numpy as np
import pytest

from tests import tiny


@pytest.fixture(scope="module")
def rows():
    photographs = tiny.photographs()
    return {
        "images": [photographs["cat"], photographs["coffee"]],
        "prompts": ["caption en", "answer en what colour is the sky?"],
    }


@pytest.fixture(scope="module")
def texts(text_task, rows):
    return text_task.generate(rows, strip_prompt=True)


def test_a_single_prompt_gives_a_string(text_task, rows, texts):
    single = {key: values[0] for key, values in rows.items()}
    assert text_task.generate(single, strip_prompt=True) == texts[0]
    assert isinstance(texts[0], str)


def test_the_prompt_stands_in_front_unless_stripped(text_task, rows, texts):
    whole = text_task.generate(rows)
    assert whole == [
        f"{prompt}\n{text}"
        for prompt, text in zip(rows["prompts"], texts, strict=True)
    ]


def test_streamed_pieces_join_to_the_text(text_task, rows, texts):
    pieces = list(text_task.generate_stream(rows))
    assert len(pieces) > 3 and all(len(piece) == 2 for piece in pieces)
    joined = ["".join(piece[row] for piece in pieces) for row in range(2)]
    assert joined == texts
    single = {key: values[0] for key, values in rows.items()}
    pieces = list(text_task.generate_stream(single))
    assert all(isinstance(piece, str) for piece in pieces)
    assert "".join(pieces) == texts[0]


def test_a_forced_start_begins_the_answer(text_task, rows):
    responses = ["A cat", "blue"]
    started = text_task.generate(
        {**rows, "responses": responses}, strip_prompt=False
    )
    for prompt, response, text in zip(
        rows["prompts"], responses, started, strict=True
    ):
        assert text.startswith(f"{prompt}\n{response}")


def test_auto_stops_at_the_end_token(text_task, rows):
    # The answer up to EOS, whatever would follow it.
    end = text_task.preprocessor.tokenizer.end_token_id
    _, free = text_task.generate(rows, stop_token_ids=None, return_scores=True)
    _, auto = text_task.generate(rows, return_scores=True)
    _, listed = text_task.generate(
        rows, stop_token_ids=[end], return_scores=True
    )
    assert [len(s) for s in auto] == [len(s) for s in listed]
    assert all(len(a) <= len(f) for a, f in zip(auto, free, strict=True))


def test_max_length_counts_the_prompt(text_task, rows):
    lengths = text_task.preprocessor.generate_preprocess(rows)[
        "padding_mask"
    ].sum(axis=1)
    longest = int(lengths.max())
    _, scores = text_task.generate(
        rows, max_length=longest + 2, stop_token_ids=None, return_scores=True
    )
    assert [len(s) for s in scores] == (longest + 2 - lengths).tolist()


def test_a_tf_data_dataset_is_an_input(text_task, rows, texts):
    tf = pytest.importorskip("tensorflow")
    batch = {
        "images": np.stack(rows["images"]),
        "prompts": np.array(rows["prompts"]),
    }
    dataset = tf.data.Dataset.from_tensor_slices(batch).repeat(2).batch(2)
    assert text_task.generate(dataset, strip_prompt=True) == texts * 2
