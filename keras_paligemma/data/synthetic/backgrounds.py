"""What stands behind the objects: flat, or as varied as photographs."""

import colorsys
import math

import numpy as np
from PIL import Image

BACKGROUNDS = (
    "flat",
    "gradient",
    "haze",
    "landscape",
    "lights",
    "surface",
    "lines",
    "room",
)


def muted_rgb(rng, darkest=0.25, brightest=0.95):
    """A colour of little saturation, in front of which objects stand out."""
    hue, saturation = rng.random(), 0.45 * rng.random() ** 1.5
    value = rng.uniform(darkest, brightest)
    rgb = colorsys.hsv_to_rgb(hue, saturation, value)
    return np.array(rgb, np.float32) * 255.0


def smooth_noise(rng, rows, columns, size):
    """Noise 0 to 1 with that many bumps down and across, `[size, size]`."""
    coarse = rng.random((rows, columns), dtype=np.float32)
    fine = Image.fromarray(coarse).resize((size, size), Image.BICUBIC)
    return np.asarray(fine)


def _axes(size):
    line = np.linspace(0.0, 1.0, size, dtype=np.float32)
    return line[:, None], line[None, :]


def _between(first, second, amount):
    return first + (second - first) * amount[..., None]


def _flat(rng, size):
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = muted_rgb(rng, 0.1, 1.0)
    return picture


def _gradient(rng, size):
    y, x = _axes(size)
    angle = rng.random() * 2.0 * math.pi
    along = math.cos(angle) * (x - 0.5) + math.sin(angle) * (y - 0.5) + 0.5
    return _between(
        muted_rgb(rng), muted_rgb(rng), np.clip(along, 0, 1).astype(np.float32)
    )


def _haze(rng, size):
    cells = int(rng.integers(3, 7))
    amount = 0.62 * smooth_noise(rng, cells, cells, size)
    amount = amount + 0.26 * smooth_noise(rng, 3 * cells, 3 * cells, size)
    amount = amount + 0.12 * smooth_noise(rng, 8 * cells, 8 * cells, size)
    return _between(muted_rgb(rng), muted_rgb(rng), amount)


def _landscape(rng, size):
    y, x = _axes(size)
    sky = np.array([120.0, 165.0, 215.0], np.float32) * rng.uniform(0.6, 1.1)
    sky += rng.uniform(-25.0, 25.0, 3).astype(np.float32)
    glow = np.float32(rng.uniform(0.2, 0.6)) * y * np.ones_like(x)
    clouds = smooth_noise(rng, 8, 4, size)
    bright = np.clip(glow + 0.7 * np.clip(clouds - 0.55, 0, 1), 0, 1)
    picture = _between(sky, np.float32(245.0), bright)
    for depth in range(int(rng.integers(1, 4))):
        base = rng.uniform(0.4, 0.6) + 0.13 * depth
        ridge = np.full(x.shape, base, np.float32)
        for waves in (2.0, 5.0, 11.0):
            height = rng.uniform(0.0, 0.12) / waves
            ridge = ridge + height * np.sin(
                waves * 3.0 * x + rng.random() * 6.28
            )
        land = muted_rgb(rng, 0.25, 0.7) * np.array([0.9, 1.0, 0.8])
        grass = smooth_noise(rng, 40, 24, size) - 0.5
        ground = land.astype(np.float32) + 45.0 * grass[..., None]
        picture = np.where((y > ridge)[..., None], ground, picture)
    return picture


def _lights(rng, size):
    y, x = _axes(size)
    picture = _between(
        muted_rgb(rng, 0.05, 0.3),
        muted_rgb(rng, 0.1, 0.45),
        smooth_noise(rng, 4, 4, size),
    )
    for _ in range(int(rng.integers(4, 11))):
        centre_y, centre_x, radius = rng.random(), rng.random(), rng.random()
        radius = 0.03 + 0.12 * radius
        distance = (y - centre_y) ** 2 + (x - centre_x) ** 2
        # A disc with a soft rim, as a lens out of focus draws a lamp.
        amount = np.clip(1.5 - distance / radius**2, 0.0, 1.0)
        amount = np.float32(rng.uniform(0.12, 0.4)) * amount
        rgb = muted_rgb(rng, 0.8, 1.0)
        picture = picture + amount[..., None] * (rgb - picture)
    return picture


def _surface(rng, size):
    fine, coarse = int(rng.integers(24, 60)), int(rng.integers(2, 6))
    grain = 0.6 * smooth_noise(rng, fine, coarse, size)
    grain = grain + 0.4 * smooth_noise(rng, 5, 3, size)
    if rng.random() < 0.5:
        grain = grain.T
    first = muted_rgb(rng, 0.35, 0.9)
    return _between(first, first * np.float32(rng.uniform(0.5, 0.8)), grain)


def _lines(rng, size):
    y, x = _axes(size)
    first = muted_rgb(rng)
    second = first * np.float32(rng.uniform(0.7, 0.88))
    waves, angle = rng.uniform(5.0, 14.0), rng.random() * math.pi
    across = math.cos(angle) * x + math.sin(angle) * y
    pattern = np.mod(across * waves, 1.0) < rng.uniform(0.1, 0.6)
    if rng.random() < 0.5:
        along = math.cos(angle) * y - math.sin(angle) * x
        pattern = pattern ^ (np.mod(along * waves, 1.0) < 0.3)
    return _between(first, second, pattern.astype(np.float32))


def _room(rng, size):
    y, x = _axes(size)
    lamp = 1.15 - 0.8 * ((x - rng.random()) ** 2 + (y - 0.1) ** 2)
    wall = muted_rgb(rng, 0.5, 0.95) * lamp[..., None]
    floor = muted_rgb(rng, 0.25, 0.7)
    edge = rng.uniform(0.55, 0.8)
    grain = 0.75 + 0.5 * smooth_noise(rng, 30, 5, size)
    ground = floor * grain[..., None]
    picture = np.where((y > edge)[..., None], ground, wall)
    skirting = np.abs(y - edge) < 0.012
    return np.where(skirting[..., None], 0.6 * floor, picture)


_DRAW = {
    "flat": _flat,
    "gradient": _gradient,
    "haze": _haze,
    "landscape": _landscape,
    "lights": _lights,
    "surface": _surface,
    "lines": _lines,
    "room": _room,
}


def draw_background(rng, size):
    """Draws one background.

    Args:
        rng: `np.random.Generator`.
        size: int. Side in pixels.

    Returns:
        `(picture, name)`: float32 `[size, size, 3]`, about 0 to 255, and one
        of `BACKGROUNDS`.
    """
    name = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    picture = _DRAW[name](rng, size).astype(np.float32, copy=False)
    if name != "flat" and rng.random() < 0.3:
        y, x = _axes(size)
        falloff = 1.08 - 0.9 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
        picture = picture * falloff[..., None]
    return picture, name


def add_grain(rng, picture):
    """Adds a sensor's noise to a finished picture, more or less or none."""
    if rng.random() < 0.4:
        return picture
    strength = np.float32(rng.uniform(1.5, 7.0))
    shape = (*picture.shape[:2], 1)
    return picture + strength * rng.standard_normal(shape, dtype=np.float32)
