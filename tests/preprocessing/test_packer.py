import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_paligemma.preprocessing import pack

TOKENS = {"bos": 2, "separator": 4, "eos": 1, "pad": 0}


def test_literal_of_the_docstring():
    packed = pack([11, 12], [21, 22, 23], **TOKENS, length=10, add_eos=True)
    assert packed.token_ids == [2, 11, 12, 4, 21, 22, 23, 1, 0, 0]
    assert packed.padding_mask == [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert packed.response_mask == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]
    assert (packed.num_cut_prefix, packed.num_cut_suffix) == (0, 0)
    packed = pack([11, 12], [21, 22, 23], **TOKENS, length=7, add_eos=True)
    assert packed.token_ids == [2, 11, 12, 4, 21, 22, 1]
    assert packed.padding_mask == [1, 1, 1, 1, 1, 1, 1]
    assert packed.response_mask == [0, 0, 0, 0, 1, 1, 1]
    assert (packed.num_cut_prefix, packed.num_cut_suffix) == (0, 1)


def test_without_start_and_end_tokens():
    tokens = {**TOKENS, "bos": None}
    packed = pack([11], [21], **tokens, length=5, add_eos=False)
    assert packed.token_ids == [11, 4, 21, 0, 0]
    assert packed.response_mask == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("num_prefix", "num_suffix", "kept"),
    [
        (100, 4, (6, 4)),  # a suffix within its half: the prefix gives way
        (3, 100, (3, 7)),  # a prefix within its half: the suffix gives way
        (100, 100, (5, 5)),  # both too long: half each
        (6, 4, (6, 4)),  # nothing to cut
    ],
)
def test_who_is_cut(num_prefix, num_suffix, kept):
    packed = pack(
        [11] * num_prefix, [21] * num_suffix, **TOKENS, length=13, add_eos=True
    )
    assert packed.token_ids.count(11) == kept[0]
    assert packed.token_ids.count(21) == kept[1]


@pytest.mark.parametrize("add_eos", [True, False])
def test_no_room_is_refused(add_eos):
    least = 3 if add_eos else 2
    packed = pack([11], [21], **TOKENS, length=least, add_eos=add_eos)
    assert packed.token_ids == [2, 4, 1][:least]
    with pytest.raises(ValueError, match=f"at least {least}"):
        pack([11], [21], **TOKENS, length=least - 1, add_eos=add_eos)


bodies = st.lists(st.integers(10, 99), max_size=40)


@given(prefix=bodies, suffix=bodies, length=st.integers(3, 60))
def test_properties(prefix, suffix, length):
    packed = pack(prefix, suffix, **TOKENS, length=length, add_eos=True)
    assert all(len(values) == length for values in packed[:3])
    num_tokens = sum(packed.padding_mask)
    assert packed.padding_mask == [1] * num_tokens + [0] * (length - num_tokens)
    tokens = packed.token_ids[:num_tokens]
    assert packed.token_ids[num_tokens:] == [0] * (length - num_tokens)
    position = tokens.index(4)
    assert (tokens[0], tokens[-1]) == (2, 1)
    kept_prefix, kept_suffix = tokens[1:position], tokens[position + 1 : -1]
    # What is kept is the beginning of each, and what is missing is counted.
    assert kept_prefix == prefix[: len(kept_prefix)]
    assert kept_suffix == suffix[: len(kept_suffix)]
    assert len(prefix) - len(kept_prefix) == packed.num_cut_prefix
    assert len(suffix) - len(kept_suffix) == packed.num_cut_suffix
    # Nothing is cut while there is padding.
    if num_tokens < length:
        assert packed.num_cut_prefix == packed.num_cut_suffix == 0
    assert [i for i, m in enumerate(packed.response_mask) if m] == list(
        range(position + 1, num_tokens)
    )


@given(prefix=bodies, suffix=bodies, length=st.integers(2, 60))
def test_a_forced_start_has_no_end_token(prefix, suffix, length):
    packed = pack(prefix, suffix, **TOKENS, length=length, add_eos=False)
    assert 1 not in packed.token_ids
    assert packed.token_ids[0] == 2
    assert packed.token_ids.count(4) == 1
    assert len(packed.token_ids) == length
