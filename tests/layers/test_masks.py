"""Masks and positions: the docstrings' literals, and big_vision's rule."""

import numpy as np
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import ops

from keras_paligemma.layers.masks import prefix_lm_mask
from keras_paligemma.layers.masks import token_positions
from keras_paligemma.layers.masks import within_window

LENGTH = 7
rows = st.lists(st.integers(0, 1), min_size=LENGTH, max_size=LENGTH)


def as_int(x):
    return ops.convert_to_numpy(x).astype("int32")


def test_prefix_lm_mask_as_documented():
    mask = prefix_lm_mask([[1, 1, 1, 1, 0]], [[0, 0, 1, 1, 0]])
    np.testing.assert_array_equal(
        as_int(mask),
        [
            [
                [1, 1, 0, 0, 0],
                [1, 1, 0, 0, 0],
                [1, 1, 1, 0, 0],
                [1, 1, 1, 1, 0],
                [1, 1, 1, 1, 0],
            ]
        ],
    )


@settings(max_examples=30, deadline=None)
@given(valid=rows, causal=rows)
def test_prefix_lm_mask_follows_big_visions_rule(valid, causal):
    # A query sees a valid key unless a token that is causal (`mask_ar`)
    # stands after the query, up to and including the key.
    expected = np.zeros((LENGTH, LENGTH), "int32")
    for query in range(LENGTH):
        for key in range(LENGTH):
            fenced = any(causal[query + 1 : key + 1])
            expected[query, key] = valid[key] and not fenced
    mask = prefix_lm_mask([valid], [causal])
    np.testing.assert_array_equal(as_int(mask)[0], expected)


def test_prefix_lm_mask_takes_booleans():
    whole = prefix_lm_mask([[1, 1, 0]], [[0, 1, 0]])
    flags = prefix_lm_mask(
        ops.convert_to_tensor([[True, True, False]]),
        ops.convert_to_tensor([[False, True, False]]),
    )
    np.testing.assert_array_equal(as_int(whole), as_int(flags))


def test_token_positions_as_documented():
    np.testing.assert_array_equal(
        as_int(token_positions([[1, 1, 0, 0, 1, 1]])), [[0, 1, 1, 1, 2, 3]]
    )


def test_token_positions_of_leading_padding_are_no_negative_number():
    np.testing.assert_array_equal(
        as_int(token_positions([[0, 0, 1, 1], [0, 0, 0, 0]])),
        [[0, 0, 0, 1], [0, 0, 0, 0]],
    )


def test_within_window_hides_far_keys_on_both_sides():
    mask = np.ones((1, 4, 4), "bool")
    mask[0, 3, 2] = False
    positions = [[0, 1, 2, 3]]
    seen = within_window(mask, positions, positions, window=2)
    np.testing.assert_array_equal(
        as_int(seen),
        [[[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 1]]],
    )


def test_within_window_goes_by_positions_not_by_columns():
    # Padding between a query and its key takes no place in the window.
    mask = np.ones((1, 1, 4), "bool")
    seen = within_window(mask, [[2]], [[0, 1, 1, 2]], window=2)
    np.testing.assert_array_equal(as_int(seen), [[[0, 1, 1, 1]]])
