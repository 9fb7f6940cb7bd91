"""`Mask`: a box, and which of its pixels belong to the thing in it."""

import dataclasses
import re

import numpy as np

from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.mask_crops import crop_mask
from keras_paligemma.tasks.mask_crops import mask_edges
from keras_paligemma.tasks.mask_crops import paste_mask

NUM_CODES = 16
NUM_CODEWORDS = 128

# `<seg128>` is no token.
SEGMENTATION_PATTERN = r"<seg(?:0\d\d|1(?:[01]\d|2[0-7]))>"
_SEGMENTATION = re.compile(SEGMENTATION_PATTERN)


@dataclasses.dataclass(frozen=True)
class Mask:
    """The mask of one thing: its box, and 16 codes for what is in the box.

    The codes are turned into pixels, and pixels into codes, by a codec, which
    is handed in: any object with `encode(crops)`, from `[n, 64, 64]` in 0..1
    to codes `[n, 16]`, and `decode(codes)`, from codes `[n, 16]` to crops
    `[n, 64, 64]` in 0..1, where what is above 0.5 is mask.

    Args:
        box: `Box`. With the label and the score.
        codes: sequence of 16 ints in 0..127. The codewords, row by row of
            the 4 by 4 grid.

    Raises:
        ValueError: If there are not 16 codes in 0..127.

    Example:

    ```python
    mask = Mask.of(pixels, codec, label="cat")  # pixels: [height, width]
    mask.pixels(codec, image_size=pixels.shape)  # bool [height, width]
    ```
    """

    box: Box
    codes: tuple

    def __post_init__(self):
        codes = tuple(int(code) for code in self.codes)
        valid = all(0 <= code < NUM_CODEWORDS for code in codes)
        if len(codes) != NUM_CODES or not valid:
            raise ValueError(
                f"A mask must have {NUM_CODES} codes in "
                f"0..{NUM_CODEWORDS - 1}. Received: {len(codes)} codes, "
                f"codes={codes}. Subtract the id of <seg000> from token ids "
                "first."
            )
        object.__setattr__(self, "codes", codes)

    @property
    def label(self):
        """str. The label of the box."""
        return self.box.label

    @property
    def score(self):
        """float or `None`. The score of the box."""
        return self.box.score

    @classmethod
    def of(cls, pixels, codec, label="", score=None):
        """Codes a mask of the whole image.

        Args:
            pixels: array-like `[height, width]`, bool or 0 and 1.
            codec: The codec, see the class.
            label: str. What the mask covers.
            score: float or `None`.

        Returns:
            A `Mask`, in the smallest box around the pixels.

        Raises:
            ValueError: If nothing is set in `pixels`.
        """
        box = Box(*mask_edges(pixels), label=label, score=score)
        codes = np.asarray(codec.encode(crop_mask(pixels, box)[None]))
        return cls(box, codes.reshape(-1).tolist())

    def crop(self, codec):
        """Decodes the crop of the box, float `[64, 64]` in 0..1."""
        return np.asarray(codec.decode(np.array([self.codes])))[0]

    def pixels(self, codec, image_size):
        """Decodes the mask of the whole image.

        Args:
            codec: The codec, see the class.
            image_size: tuple of int. Height and width of the image.

        Returns:
            bool array `[height, width]`.
        """
        return paste_mask(self.crop(codec), self.box, image_size)

    def tokens(self):
        """Writes four location and 16 segmentation tokens."""
        codes = "".join(f"<seg{code:03d}>" for code in self.codes)
        return self.box.tokens() + codes


def read_codes(text):
    """Reads the segmentation tokens of a text as codes.

    Example:

    ```python
    read_codes("<seg000><seg127> cat")  # (0, 127)
    ```
    """
    return tuple(int(token[4:7]) for token in _SEGMENTATION.findall(text))
