"""A picture of removed images beside those that they were removed for."""

import heapq
import itertools
import os

from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from keras_paligemma.data.deduplication.near_duplicate_index import MEASURES
from keras_paligemma.data.image_decoding import UnreadableImageError
from keras_paligemma.data.image_decoding import decode_image
from keras_paligemma.data.image_decoding import to_rgb

_SIDE = 128
_GAP = 8
_TEXT = 44
_COLUMNS = 4


class ContactSheet:
    """Collects the least certain matches, and draws them.

    Those at the greatest distance are where a mistake is to be looked for,
    so of each measure these are kept.

    Args:
        pairs: int. How many at most, shared out among the measures.

    Example:

    ```python
    sheet = ContactSheet()
    sheet.add({"image": "a.jpg", "duplicate_of": "b.jpg", "line": 7,
               "measure": "whole", "distance": 12.0, "mirrored": False})
    sheet.draw().save("pairs.png")
    ```
    """

    def __init__(self, pairs=48):
        self._most = max(pairs // len(MEASURES), 1)
        self._heaps = {measure: [] for measure in MEASURES}
        self._ticket = itertools.count()

    def add(self, match):
        """Takes a match, a dict as in `removed.jsonl`."""
        heap = self._heaps[match["measure"]]
        # The ticket keeps the earlier of two that are equally far, and dicts
        # from being compared.
        entry = (match["distance"], -next(self._ticket), match)
        if len(heap) < self._most:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def draw(self):
        """Returns a `PIL.Image`: pairs by measure, the farthest first."""
        matches = [
            match
            for measure in MEASURES
            for _, _, match in sorted(self._heaps[measure], reverse=True)
        ]
        width, height = 2 * _SIDE + _GAP, _SIDE + _TEXT
        columns = min(_COLUMNS, max(len(matches), 1))
        rows = -(-len(matches) // columns)
        size = (
            columns * (width + 2 * _GAP) + 2 * _GAP,
            rows * (height + _GAP) + _TEXT,
        )
        sheet = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(sheet)
        title = "removed | because of" if matches else "nothing was removed"
        draw.text((2 * _GAP, _GAP), title, fill="black", font=_font(13))
        for place, match in enumerate(matches):
            row, column = divmod(place, columns)
            left = 2 * _GAP + column * (width + 2 * _GAP)
            top = 32 + row * (height + _GAP)
            for name, x in (
                (match["image"], left),
                (match["duplicate_of"], left + _SIDE + _GAP),
            ):
                sheet.paste(_picture(name), (x, top))
                draw.text(
                    (x, top + _SIDE + 2),
                    os.path.basename(name)[-20:],
                    fill="black",
                    font=_font(11),
                )
            draw.text(
                (left, top + _SIDE + 16),
                _describe(match),
                fill="firebrick",
                font=_font(12),
            )
        return sheet


def _font(size):
    # The one that is inside Pillow: the same everywhere.
    return ImageFont.load_default(size)


def _picture(path):
    frame = Image.new("RGB", (_SIDE, _SIDE), "lightgrey")
    try:
        image = to_rgb(decode_image(path))
    except UnreadableImageError:  # Gone since it was hashed.
        return frame
    image.thumbnail((_SIDE, _SIDE))
    place = ((_SIDE - image.width) // 2, (_SIDE - image.height) // 2)
    frame.paste(image, place)
    return frame


def _describe(match):
    distance = {
        "whole": "{:.0f} of 256 bits",
        "crop": "{:.0f} of 256 bits",
        "regions": "{:.0f} of 9 regions",
        "frequencies": "1 - cosine {:.4f}",
        "embedding": "1 - cosine {:.4f}",
    }[match["measure"]].format(match["distance"])
    mirrored = ", mirrored" if match["mirrored"] else ""
    return f"{match['measure']}: {distance}{mirrored}"
