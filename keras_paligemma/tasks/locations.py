"""Normalised coordinates <-> location tokens; the one home of 1023."""

import re

import numpy as np

NUM_LOCATIONS = 1024
LAST_LOCATION = NUM_LOCATIONS - 1

# `<loc1024>` is no token: such text must not be read as a coordinate.
LOCATION_PATTERN = r"<loc(?:0\d{3}|10(?:[01]\d|2[0-3]))>"
_LOCATION = re.compile(LOCATION_PATTERN)


def encode_locations(coordinates):
    """Turns normalised coordinates into location indices.

    `round(1023 * x)`, clipped to 0..1023. A coordinate half-way between two
    indices goes to the even one, as in big_vision (`tf.round`).

    Args:
        coordinates: float or array-like of floats. Normalised to 0..1; what
            lies outside is clipped.

    Returns:
        int64 array of the same shape.

    Raises:
        ValueError: If a coordinate is NaN or infinite.

    Example:

    ```python
    encode_locations([0.0, 0.5, 1.0])  # [0, 512, 1023]
    ```
    """
    coordinates = np.asarray(coordinates, "float64")
    if not np.isfinite(coordinates).all():
        raise ValueError(
            "Coordinates must be finite numbers, normalised to 0..1. "
            f"Received: coordinates={coordinates.tolist()}. Remove boxes "
            "without a place."
        )
    indices = np.round(LAST_LOCATION * coordinates)
    return np.clip(indices, 0, LAST_LOCATION).astype("int64")


def decode_locations(indices):
    """Turns location indices into normalised coordinates, `i / 1023`.

    Args:
        indices: int or array-like of ints in 0..1023.

    Returns:
        float64 array of the same shape.

    Raises:
        ValueError: If an index is outside 0..1023.

    Example:

    ```python
    decode_locations([0, 1023])  # [0.0, 1.0]
    ```
    """
    indices = np.asarray(indices)
    if ((indices < 0) | (indices > LAST_LOCATION)).any():
        raise ValueError(
            f"Location indices must be in 0..{LAST_LOCATION}. Received: "
            f"indices={indices.tolist()}. Subtract the id of <loc0000> from "
            "token ids first."
        )
    return indices / LAST_LOCATION


def write_locations(coordinates):
    """Writes coordinates as location tokens.

    Example:

    ```python
    write_locations([0.0, 0.5])  # "<loc0000><loc0512>"
    ```
    """
    indices = encode_locations(coordinates).reshape(-1)
    return "".join(f"<loc{index:04d}>" for index in indices)


def read_locations(text):
    """Reads the location tokens of a text as normalised coordinates.

    Example:

    ```python
    read_locations("<loc0000><loc1023> cat")  # [0.0, 1.0]
    ```
    """
    tokens = _LOCATION.findall(text)
    indices = np.array([int(token[4:8]) for token in tokens], "int64")
    return decode_locations(indices).tolist()
