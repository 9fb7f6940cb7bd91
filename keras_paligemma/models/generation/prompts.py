"""Prompts of unequal length, laid out so that decoding starts together.

Prompts are moved to the right end of their buffer: every row's first new
token then stands in the same column, whatever its prompt's length. Positions
count real tokens only, so that a row computes what it computes alone.
"""

import dataclasses
import zlib

import numpy as np


def bucket(length, step=16):
    """Rounds a length up, so that few shapes are compiled.

    Multiples of `step` up to `8 * step`, then of `4 * step`.

    Example:
    ```python
    [bucket(n) for n in (1, 16, 17, 130)]  # [16, 16, 32, 192]
    ```
    """
    if length > 8 * step:
        step = 4 * step
    return -(-length // step) * step


def right_align(values, lengths, width):
    """Moves each row's first `lengths[row]` values to the right end.

    Args:
        values: int array `[batch, length]`, left-aligned.
        lengths: int array `[batch]`.
        width: int. Columns of the result.

    Returns:
        int32 array `[batch, width]`, zero where nothing stands.

    Example:
    ```python
    right_align([[5, 6, 0], [7, 8, 9]], [2, 3], 4)
    # [[0, 0, 5, 6],
    #  [0, 7, 8, 9]]
    ```
    """
    aligned = np.zeros((len(values), width), "int32")
    for row, length in enumerate(lengths):
        aligned[row, width - length :] = values[row][:length]
    return aligned


@dataclasses.dataclass(frozen=True)
class PromptBatch:
    """What the decoder reads, as NumPy arrays.

    Attributes:
        images: float array `[batch, images, height, width, 3]`.
        image_mask: int array `[batch, images]`.
        token_ids: int array `[batch, width]`, right-aligned.
        padding_mask: int array `[batch, width]`.
        response_mask: int array `[batch, width]`.
        prompts: list of int arrays. Each row's prompt.
        max_length: int. Prompt and new tokens together, at most.
        limits: int array `[batch]`. New tokens each row may get.
    """

    images: np.ndarray
    image_mask: np.ndarray
    token_ids: np.ndarray
    padding_mask: np.ndarray
    response_mask: np.ndarray
    prompts: list
    max_length: int
    limits: np.ndarray

    @classmethod
    def from_inputs(cls, inputs, buckets=True):
        """Lays out left-aligned model inputs.

        Args:
            inputs: dict of arrays as `complete_inputs` takes them, padded to
                the maximum length.
            buckets: bool. Whether to round the width up.

        Raises:
            ValueError: If a prompt is empty, has a hole, or leaves no room.
        """
        token_ids = np.asarray(inputs["token_ids"], "int32")
        if token_ids.ndim != 2:
            raise ValueError(
                "`token_ids` must be [batch, length]. "
                f"Received: token_ids.shape={token_ids.shape}"
            )
        padding_mask = np.asarray(
            inputs.get("padding_mask", np.ones_like(token_ids))
        ).astype("int32")
        response_mask = np.asarray(
            inputs.get("response_mask", np.zeros_like(token_ids))
        ).astype("int32")
        images = np.asarray(inputs["images"])
        if images.ndim == 4:
            images = images[:, None]
        image_mask = inputs.get("image_mask")
        if image_mask is None:
            image_mask = np.ones(images.shape[:2])
        lengths = padding_mask.sum(axis=1)
        max_length = token_ids.shape[1]
        _check_prompts(padding_mask, lengths, max_length, len(images))
        width = int(lengths.max())
        width = bucket(width) if buckets else width
        return cls(
            images=images,
            image_mask=np.asarray(image_mask, "int32"),
            token_ids=right_align(token_ids, lengths, width),
            padding_mask=right_align(padding_mask, lengths, width),
            response_mask=right_align(response_mask, lengths, width),
            prompts=[
                row[:n] for row, n in zip(token_ids, lengths, strict=True)
            ],
            max_length=max_length,
            limits=max_length - lengths,
        )

    @property
    def tensors(self):
        """The model inputs, by name."""
        return {
            "images": self.images,
            "image_mask": self.image_mask,
            "token_ids": self.token_ids,
            "padding_mask": self.padding_mask,
            "response_mask": self.response_mask,
        }

    def __len__(self):
        return len(self.prompts)

    def row_keys(self):
        """One number per row, made of its content alone.

        A row's random numbers are seeded by it, so that they do not depend
        on the row's neighbours. Equal rows are counted, so that they differ.
        """
        keys, seen = [], {}
        for row, prompt in enumerate(self.prompts):
            shown = self.images[row][self.image_mask[row] > 0]
            key = zlib.crc32(np.ascontiguousarray(shown).tobytes())
            key = zlib.crc32(prompt.astype("<i4").tobytes(), key)
            seen[key] = seen.get(key, -1) + 1
            keys.append((key, seen[key]))
        return keys

    def assemble(self, answers):
        """Joins prompts and answers, left-aligned and padded.

        Args:
            answers: list of int arrays, one a row.

        Returns:
            dict of int32 `token_ids` and bool `padding_mask`
            `[batch, max_length]`.
        """
        token_ids = np.zeros((len(self), self.max_length), "int32")
        padding_mask = np.zeros((len(self), self.max_length), "bool")
        for row, (prompt, answer) in enumerate(
            zip(self.prompts, answers, strict=True)
        ):
            sequence = np.concatenate([prompt, answer])[: self.max_length]
            token_ids[row, : len(sequence)] = sequence
            padding_mask[row, : len(sequence)] = True
        return {"token_ids": token_ids, "padding_mask": padding_mask}


def _check_prompts(padding_mask, lengths, max_length, num_images):
    if num_images != len(padding_mask):
        raise ValueError(
            "There must be as many rows of images as of prompts. "
            f"Received: {num_images} rows of images, "
            f"{len(padding_mask)} prompts"
        )
    if np.any(lengths < 1):
        raise ValueError(
            "Every prompt needs at least one token, BOS. Received an empty "
            f"one in row {int(np.argmin(lengths))}"
        )
    if np.any(np.diff(padding_mask, axis=1) > 0):
        row = int(np.argmax(np.any(np.diff(padding_mask, axis=1) > 0, axis=1)))
        raise ValueError(
            "Prompts must be left-aligned, padding behind them only. "
            f"Received a hole in `padding_mask` of row {row}"
        )
    if np.any(lengths >= max_length):
        row = int(np.argmax(lengths))
        raise ValueError(
            "There is no room for a new token: pass a larger `max_length`. "
            f"Received: max_length={max_length}, and a prompt of "
            f"{int(lengths[row])} tokens in row {row}"
        )
