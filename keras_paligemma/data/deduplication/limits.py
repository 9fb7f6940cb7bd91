"""How near is a near-duplicate."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Distances up to which two images count as near-duplicates.

    Any one measure is enough. The defaults are those of
    `tests/benchmarks/deduplication.py`: the nearest pair of unrelated
    pictures there lies beyond each of them.

    Args:
        whole: int. Bits of 256 in which the hashes of the whole images, or of
            one of them and a slight crop of the other, may differ.
        region: int. Bits of 64 in which two regions may differ and still
            count as equal.
        regions: int. How many of the nine regions must be equal, whatever
            stands on the others: for overlays, frames and inserted text.
        frequencies: float. Least cosine of the lowest frequencies, for soft
            pictures, of which a hash says little.
        embedding: float. Least cosine of the embeddings, where there are any.

    Raises:
        ValueError: A limit is outside its range.
    """

    whole: int = 48
    region: int = 10
    regions: int = 3
    frequencies: float = 0.995
    embedding: float = 0.95

    def __post_init__(self):
        for name, least, most in (
            ("whole", 0, 255),
            ("region", 0, 63),
            ("regions", 1, 9),
            ("frequencies", -1, 1),
            ("embedding", -1, 1),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(
                    f"`{name}` must lie in {least}..{most}. Received: "
                    f"{name}={value!r}"
                )
