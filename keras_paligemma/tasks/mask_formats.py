"""Masks <-> COCO's polygons and run-length encodings (RLE).

Drawing polygons and writing RLEs need `pycocotools`, which is imported when
they are called; it comes with `pip install keras-paligemma[detection]`.
"""

import numpy as np


def polygons_to_mask(polygons, image_size):
    """Draws COCO polygons as one mask.

    Args:
        polygons: list of lists of float. Each `[x0, y0, x1, y1, ...]`, in
            pixels; the mask is their union.
        image_size: tuple of int. Height and width of the image.

    Returns:
        bool array `[height, width]`.

    Raises:
        ValueError: If a polygon has fewer than three points, or an odd
            number of coordinates.
        ImportError: If pycocotools is missing.

    Example:

    ```python
    polygons_to_mask([[1, 1, 3, 1, 3, 2, 1, 2]], (4, 4)).sum()  # 2
    ```
    """
    polygons = [[float(value) for value in polygon] for polygon in polygons]
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(
                "A polygon must be a flat list of at least three points, "
                f"[x0, y0, x1, y1, x2, y2, ...]. Received: {len(polygon)} "
                f"numbers, {polygon[:8]}"
            )
    height, width = image_size
    if not polygons:
        return np.zeros(image_size, bool)
    tools = _pycocotools()
    parts = tools.frPyObjects(polygons, height, width)
    return tools.decode(tools.merge(parts)).astype(bool)


def mask_to_polygons(mask):
    """Traces the outer edges of a mask, exactly along the pixels.

    COCO's polygons cannot hold holes, so these are filled; an RLE can.

    Args:
        mask: array-like `[height, width]`. Nonzero is mask.

    Returns:
        A list of polygons `[x0, y0, x1, y1, ...]` in pixels, one for each
        part whose pixels touch along their sides.
    """
    following = _boundary(np.asarray(mask) != 0)
    polygons = []
    while following:
        loop = _pop_loop(following)
        points = np.array(loop)
        after = np.roll(points, -1, axis=0)
        area = (points[:, 1] * after[:, 0] - after[:, 1] * points[:, 0]).sum()
        if area > 0:  # a hole is walked the other way round
            polygons.append(points[:, ::-1].reshape(-1).astype(float).tolist())
    return polygons


def rle_to_mask(rle, image_size=None):
    """Decodes an RLE of COCO.

    Args:
        rle: dict. With `size` (`[height, width]`) and `counts`: bytes or str
            if it is compressed, a list of int if it is not.
        image_size: tuple of int or `None`. What `size` must be, if given.

    Returns:
        bool array `[height, width]`.

    Raises:
        ValueError: If `size` or `counts` are missing, corrupt, or do not
            fit.
    """
    try:
        height, width = rle["size"]
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "An RLE must be a dict with `size` ([height, width]) and "
            f"`counts`. Received: {rle!r:.200}"
        ) from error
    if image_size is not None and tuple(image_size) != (height, width):
        raise ValueError(
            "The size of an RLE must be that of its image. Received: "
            f"size={(height, width)}, image_size={tuple(image_size)}"
        )
    if isinstance(counts, (str, bytes)):
        counts = _decompress(counts)
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(
            "The counts of an RLE must add up to the number of pixels, "
            f"{height} * {width}. Received: a sum of {sum(counts)}"
        )
    # Runs of zeros and ones in turn, down the columns.
    values = np.arange(len(counts)) % 2 == 1
    runs = np.repeat(values, counts)
    return runs.reshape((height, width), order="F")


def mask_to_rle(mask):
    """Encodes a mask as a compressed RLE of COCO, ready for JSON.

    Args:
        mask: array-like `[height, width]`. Nonzero is mask.

    Returns:
        A dict with `size` (list of int) and `counts` (str).

    Raises:
        ImportError: If pycocotools is missing.
    """
    mask = np.asfortranarray(np.asarray(mask) != 0).astype("uint8", order="F")
    rle = _pycocotools().encode(mask)
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def _decompress(counts):
    """Reads the text form of an RLE's counts.

    Each count is written in characters of five bits, the lowest ones first;
    from the fourth on, it is the difference to the count two before it.
    pycocotools would read a corrupt text beyond its end.
    """
    if isinstance(counts, str):
        counts = counts.encode("ascii", "replace")
    numbers, number, shift = [], 0, 0
    for byte in counts:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise ValueError(
                "The counts of a compressed RLE must be characters from '0' "
                f"to 'o'. Received: {chr(byte)!r} in counts={counts!r:.100}"
            )
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # the sign
            number -= 1 << shift
        if len(numbers) > 2:
            number += numbers[-2]
        numbers.append(number)
        number, shift = 0, 0
    if shift:
        raise ValueError(
            "The counts of a compressed RLE must not end inside a number. "
            f"Received: counts={counts!r:.100}"
        )
    return numbers


def _boundary(mask):
    """The sides between mask and no mask, walked with the mask at the right.

    Returns:
        A dict of corner `(row, column)` to the corners that follow it, a list.
    """
    padded = np.pad(mask, 1).astype("int8")
    following = {}

    def add(sides, start, stop):
        for row, column in np.argwhere(sides).tolist():
            first = (row + start[0], column + start[1])
            last = (row + stop[0], column + stop[1])
            following.setdefault(first, []).append(last)

    down = np.diff(padded, axis=0)[:, 1:-1]  # [height + 1, width]
    across = np.diff(padded, axis=1)[1:-1]  # [height, width + 1]
    add(down == 1, (0, 0), (0, 1))  # an upper edge, to the right
    add(down == -1, (0, 1), (0, 0))  # a lower edge, to the left
    add(across == 1, (1, 0), (0, 0))  # a left edge, upwards
    add(across == -1, (0, 0), (1, 0))  # a right edge, downwards
    return following


def _pop_loop(following):
    """Takes one closed walk out of `following`; returns where it turns."""
    start = corner = next(iter(following))
    direction = None
    turns = []
    while corner in following:
        choices = following[corner]
        after = choices[0]
        if len(choices) > 1 or (corner == start and turns):
            # Two parts touch here. The turn to the right stays with the part
            # that is walked around; if it is gone, the walk has closed.
            if direction is not None:
                after = (corner[0] + direction[1], corner[1] - direction[0])
            if after not in choices:
                break
        choices.remove(after)
        if not choices:
            del following[corner]
        step = (after[0] - corner[0], after[1] - corner[1])
        if step != direction:
            turns.append(corner)
        corner, direction = after, step
    return turns


def _pycocotools():
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError(
            "COCO's polygons and run-length encodings need pycocotools. "
            "Install it with `pip install keras-paligemma[detection]`."
        ) from error
    return mask
