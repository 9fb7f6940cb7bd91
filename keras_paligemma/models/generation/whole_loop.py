"""All steps of decoding as one loop, that is compiled as a whole."""

import numpy as np
from keras import ops


def decode_rest(advance, chosen, cache, arguments, limits, stop_token_ids):
    """Decodes until each row has stopped or is full.

    Nothing goes to the host between steps: no dispatch, no fetching.

    Args:
        advance: callable of a cache, token ids `[rows]`, a row of
            `arguments`, what the last choice carries on, and the step's
            index; returns a dict of tensors `[rows]`, `token_ids` among
            them, and the new cache. Nested tensors named `carry` in the
            dict go to the next choice.
        chosen: such a dict. What the prefill chose.
        cache: nested tensors.
        arguments: float tensor `[new tokens, rows]`. For the choice of each
            token.
        limits: int tensor `[rows]`. New tokens each row may get.
        stop_token_ids: int tensor `[any number]`. Tokens that end a row.

    Returns:
        dict of tensors `[new tokens, rows]`, where behind the end of a row
        stands what `answer_lengths` leaves out; and the cache, so that its
        memory can be used again and again.
    """
    most = arguments.shape[0]

    def goes_on(count, open_rows, *_):
        return ops.logical_and(count < most, ops.any(open_rows))

    def still_open(open_rows, token_ids, count):
        stops = ops.equal(token_ids[:, None], stop_token_ids[None])
        return ops.logical_and(
            ops.logical_and(open_rows, ops.logical_not(ops.any(stops, axis=1))),
            limits > count,
        )

    def write(written, chosen, count):
        return {
            name: ops.slice_update(written[name], (count, 0), values[None])
            for name, values in chosen.items()
        }

    def body(count, open_rows, token_ids, carry, cache, written):
        chosen, cache = advance(
            cache, token_ids, arguments[count], carry, count - 1
        )
        chosen, carry = split_carry(chosen)
        written = write(written, chosen, count)
        token_ids, count = chosen["token_ids"], count + 1
        open_rows = still_open(open_rows, token_ids, count)
        return count, open_rows, token_ids, carry, cache, written

    chosen, carry = split_carry(chosen)
    token_ids = chosen["token_ids"]
    rows = token_ids.shape[0]
    written = {
        name: ops.zeros((most, rows), values.dtype)
        for name, values in chosen.items()
    }
    start = (
        ops.convert_to_tensor(1, "int32"),
        still_open(limits > 0, token_ids, 1),
        token_ids,
        carry,
        cache,
        write(written, chosen, 0),
    )
    *_, cache, written = ops.while_loop(goes_on, body, start)
    return written, cache


def split_carry(chosen):
    """Takes what goes to the next choice, if anything, out of a choice."""
    return (
        {name: value for name, value in chosen.items() if name != "carry"},
        chosen.get("carry", {}),
    )


def answer_lengths(token_ids, limits, stop_token_ids):
    """How many tokens of each row count, the stop token included.

    Args:
        token_ids: int array `[rows, new tokens]`.
        limits: int array `[rows]`.
        stop_token_ids: ints.

    Returns:
        int array `[rows]`.

    Example:
    ```python
    answer_lengths(np.array([[5, 1, 7], [5, 6, 7]]), [3, 2], [1])  # [2, 2]
    ```
    """
    stops = np.isin(token_ids, stop_token_ids)
    ends = np.where(stops.any(axis=1), stops.argmax(axis=1) + 1, np.inf)
    return np.minimum(ends, limits).astype("int64")
