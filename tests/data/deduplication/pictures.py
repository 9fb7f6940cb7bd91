"""Pictures with enough in them to be told apart, and files of them."""

import io
import json

import numpy as np
from PIL import Image


def picture(seed, size=96):
    """Soft coloured clouds, another for each seed, as a `PIL.Image`."""
    generator = np.random.default_rng(seed)
    image = np.zeros((size, size, 3), "float32")
    for cells, weight in ((3, 1.0), (6, 0.7), (12, 0.5), (24, 0.3)):
        noise = generator.normal(size=(cells, cells, 3)) * 50 * weight
        noise = np.clip(noise + 128, 0, 255).astype("uint8")
        layer = Image.fromarray(noise).resize((size, size), 3)
        image += np.asarray(layer, "float32") - 128
    return Image.fromarray(np.clip(image + 128, 0, 255).astype("uint8"))


def jpeg(image, quality):
    """An image after compression."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def write_records(path, images, **fields):
    """Saves images beside a JSONL file that names them.

    Args:
        path: `pathlib.Path`. The JSONL file.
        images: dict of file name to `PIL.Image`.
        **fields: Further fields of each record.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, image in images.items():
        image.save(path.parent / name)
        lines.append(json.dumps({"image": name, **fields}) + "\n")
    path.write_text("".join(lines))
    return path
