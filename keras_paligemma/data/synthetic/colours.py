"""The colours of objects: a name, a middle value, and how far it may stray."""

import numpy as np

# Red, green and blue of each named colour, 0 to 255.
COLOURS = {
    "red": (214, 34, 36),
    "green": (44, 152, 58),
    "blue": (36, 82, 208),
    "yellow": (246, 218, 44),
    "orange": (246, 134, 22),
    "purple": (126, 50, 168),
    "pink": (246, 142, 188),
    "brown": (118, 74, 40),
    "black": (26, 26, 30),
    "white": (244, 244, 244),
    "gray": (132, 132, 134),
}
# Shading may scale a colour by this much either way and it keeps its name:
# a dark white is gray, a light black too, a dark orange is brown.
SHADING = {"white": 0.05, "gray": 0.1, "orange": 0.1, "brown": 0.14}
DEFAULT_SHADING = 0.18
_NEUTRAL = ("black", "white", "gray")


def sample_rgb(rng, colour):
    """Draws one value of a named colour, float `[3]`."""
    base = np.array(COLOURS[colour], np.float32)
    if colour in _NEUTRAL:
        return base + np.float32(rng.uniform(-8.0, 8.0))
    return base + rng.uniform(-10.0, 10.0, 3).astype(np.float32)


def nearest_colour(rgb):
    """The name of the colour whose middle value is nearest to `rgb`."""
    names = list(COLOURS)
    table = np.array([COLOURS[name] for name in names], float)
    return names[int(((table - np.asarray(rgb, float)) ** 2).sum(1).argmin())]
