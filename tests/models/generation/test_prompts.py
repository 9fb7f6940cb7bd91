"""Prompts laid out: literals, and what is refused."""

import numpy as np
import pytest

from keras_paligemma.models.generation.prompts import PromptBatch
from keras_paligemma.models.generation.prompts import bucket
from keras_paligemma.models.generation.prompts import right_align


def batch_of(token_ids, padding_mask, **changes):
    inputs = {
        "images": np.zeros((len(token_ids), 2, 2, 3)),
        "token_ids": np.array(token_ids),
        "padding_mask": np.array(padding_mask),
        **changes,
    }
    return PromptBatch.from_inputs(inputs, buckets=False)


def test_bucket_as_documented():
    assert [bucket(n) for n in (1, 16, 17, 130)] == [16, 16, 32, 192]
    assert [bucket(n, step=32) for n in (1, 33, 256, 257)] == [32, 64, 256, 384]


def test_right_align_as_documented():
    np.testing.assert_array_equal(
        right_align([[5, 6, 0], [7, 8, 9]], [2, 3], 4),
        [[0, 0, 5, 6], [0, 7, 8, 9]],
    )


def test_prompts_end_in_one_column():
    batch = batch_of(
        [[5, 6, 0, 0], [7, 8, 9, 0]],
        [[1, 1, 0, 0], [1, 1, 1, 0]],
        response_mask=[[0, 1, 0, 0], [0, 0, 1, 0]],
    )
    np.testing.assert_array_equal(batch.token_ids, [[0, 5, 6], [7, 8, 9]])
    np.testing.assert_array_equal(batch.padding_mask, [[0, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(batch.response_mask, [[0, 0, 1], [0, 0, 1]])
    assert [prompt.tolist() for prompt in batch.prompts] == [[5, 6], [7, 8, 9]]
    assert (len(batch), batch.max_length) == (2, 4)
    np.testing.assert_array_equal(batch.limits, [2, 1])
    assert batch.images.shape == (2, 1, 2, 2, 3)
    np.testing.assert_array_equal(batch.image_mask, [[1], [1]])


def test_widths_are_rounded_up_to_buckets():
    inputs = {
        "images": np.zeros((1, 2, 2, 3)),
        "token_ids": np.ones((1, 40)),
        "padding_mask": np.arange(40)[None] < 17,
    }
    assert PromptBatch.from_inputs(inputs).token_ids.shape == (1, 32)


def test_assemble_joins_prompts_and_answers():
    batch = batch_of(
        [[5, 6, 0, 0, 0], [7, 8, 9, 0, 0]], [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]
    )
    whole = batch.assemble([np.array([3]), np.array([4, 1, 2])])
    np.testing.assert_array_equal(
        whole["token_ids"], [[5, 6, 3, 0, 0], [7, 8, 9, 4, 1]]
    )
    np.testing.assert_array_equal(
        whole["padding_mask"],
        np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool),
    )


def test_row_keys_are_made_of_a_rows_content():
    images = np.random.default_rng(0).normal(size=(3, 2, 2, 2, 3))
    images[2] = images[0]
    mask = np.array([[1, 0], [1, 1], [1, 0]])
    token_ids = [[5, 6, 0], [5, 6, 0], [5, 6, 0]]
    padding = [[1, 1, 0]] * 3
    keys = batch_of(
        token_ids, padding, images=images, image_mask=mask
    ).row_keys()
    assert keys[0][0] != keys[1][0]
    assert keys[2] == (keys[0][0], 1) and keys[0][1] == 0
    # What fills the batch up does not enter, nor the padding's length.
    images[0, 1] = 9.0
    alone = batch_of(
        [[5, 6, 0, 0, 0]],
        [[1, 1, 0, 0, 0]],
        images=images[:1, :1],
    )
    assert alone.row_keys() == [keys[0]]
    other = batch_of([[5, 7, 0]], padding[:1], images=images[:1, :1])
    assert other.row_keys()[0][0] != keys[0][0]


@pytest.mark.parametrize(
    "token_ids, padding_mask, text",
    [
        ([[5, 6, 7], [8, 0, 0]], [[1, 0, 1], [1, 0, 0]], "hole .* of row 0"),
        ([[8, 0, 0], [0, 8, 0]], [[1, 0, 0], [0, 1, 0]], "hole .* of row 1"),
        ([[8, 0, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]], "one in row 1"),
        (
            [[8, 0, 0], [5, 6, 7]],
            [[1, 0, 0], [1, 1, 1]],
            "max_length=3, and a prompt of 3 tokens in row 1",
        ),
    ],
)
def test_bad_prompts_are_refused(token_ids, padding_mask, text):
    with pytest.raises(ValueError, match=text):
        batch_of(token_ids, padding_mask)


def test_counts_that_differ_are_refused():
    with pytest.raises(ValueError, match="3 rows of images, 1 prompts"):
        batch_of([[5, 0]], [[1, 0]], images=np.zeros((3, 2, 2, 3)))
    with pytest.raises(ValueError, match=r"token_ids.shape=\(2,\)"):
        batch_of([5, 0], [1, 0])
