"""BOS, prefix, SEP, suffix, EOS, PAD: one example's token sequence."""

from typing import NamedTuple


class PackedSequence(NamedTuple):
    """One packed sequence, as lists of `length` ints.

    Attributes:
        token_ids: list of int. The tokens.
        padding_mask: list of int. 1 for tokens, 0 for padding.
        response_mask: list of int. 1 for suffix and EOS, else 0.
        num_cut_prefix: int. How many tokens of the prefix had no room.
        num_cut_suffix: int. How many tokens of the suffix had no room.
    """

    token_ids: list
    padding_mask: list
    response_mask: list
    num_cut_prefix: int
    num_cut_suffix: int


def pack(prefix_ids, suffix_ids, *, bos, separator, eos, pad, length, add_eos):
    """Packs a prefix and a suffix into one sequence of a fixed length.

    The layout is BOS, prefix, SEP, suffix, EOS, PAD, for example with a
    prefix of two tokens, a suffix of three and `length=10`:

    ```
    pack([11, 12], [21, 22, 23], bos=2, separator=4, eos=1, pad=0,
         length=10, add_eos=True)
    token_ids      2 11 12  4 21 22 23  1  0  0
    padding_mask   1  1  1  1  1  1  1  1  0  0
    response_mask  0  0  0  0  1  1  1  1  0  0
    ```

    Too long a text loses the ends of prefix and suffix, never BOS, SEP or
    EOS. The room left beside these is shared so: a suffix that fits in half
    of it (rounded up) is never cut, the prefix gives way; a prefix that fits
    in the other half is never cut, the suffix gives way; else each gets its
    half. The same with `length=7`, which leaves room for four:

    ```
    token_ids      2 11 12  4 21 22  1
    padding_mask   1  1  1  1  1  1  1
    response_mask  0  0  0  0  1  1  1
    num_cut_prefix 0
    num_cut_suffix 1
    ```

    Where big_vision is read side by side: `response_mask` is its `mask_ar`
    and `mask_loss`, `padding_mask` its `mask_input`.

    Args:
        prefix_ids: list of int. The prompt, without BOS and SEP.
        suffix_ids: list of int. The answer, without EOS; may be empty.
        bos: int or None. The start token; `None` leaves it out.
        separator: int. The token between prefix and suffix.
        eos: int. The end token.
        pad: int. The padding token.
        length: int. The length of the sequence.
        add_eos: bool. Whether the end token follows the suffix.

    Returns:
        A `PackedSequence`.

    Raises:
        ValueError: If `length` has no room for BOS, SEP and EOS.
    """
    start = [] if bos is None else [bos]
    end = [eos] if add_eos else []
    room = length - len(start) - 1 - len(end)
    if room < 0:
        raise ValueError(
            "A sequence must have room for the start token, the separator and "
            f"the end token. Received: length={length}, which must be at "
            f"least {length - room}."
        )
    num_prefix, num_suffix = _share_room(len(prefix_ids), len(suffix_ids), room)
    head = start + list(prefix_ids[:num_prefix]) + [separator]
    response = list(suffix_ids[:num_suffix]) + end
    num_pad = length - len(head) - len(response)
    return PackedSequence(
        token_ids=head + response + [pad] * num_pad,
        padding_mask=[1] * (length - num_pad) + [0] * num_pad,
        response_mask=[0] * len(head) + [1] * len(response) + [0] * num_pad,
        num_cut_prefix=len(prefix_ids) - num_prefix,
        num_cut_suffix=len(suffix_ids) - num_suffix,
    )


def _share_room(num_prefix, num_suffix, room):
    """Returns how many tokens of prefix and suffix are kept."""
    half = room // 2
    kept_suffix = min(num_suffix, max(room - num_prefix, room - half))
    return min(num_prefix, room - kept_suffix), kept_suffix
