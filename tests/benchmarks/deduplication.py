"""Measures near-duplicate removal: what it finds, what it costs.

    python -m tests.benchmarks.deduplication

Draws 20,000 pictures of the synthetic world and 500 more that are to be
protected, plants changed copies of these among the former, and prints recall
and precision for each change; pictures a second and memory; and how time and
memory of the search grow from 2,000 to 200,000 hashes. The synthetic world is
not the world: backgrounds that are flat or soft look more alike than
photographs do, and the largest things on them differ less.
"""

import collections
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageEnhance
from PIL import ImageFont
from PIL import ImageOps

from tests.benchmarks.measure import format_table
from tests.benchmarks.measure import peak_memory
from tests.benchmarks.measure import run_fresh

SIZE = 112
NUM_DATA = 20_000
NUM_PROTECTED = 500
NUM_HASHES = (2_000, 20_000, 200_000)
NUM_QUERIES = 1_000


def resize(image, generator):
    width, height = generator.integers(SIZE // 2, SIZE * 2, 2)
    return image.resize((int(width), int(height)), Image.Resampling.BILINEAR)


def jpeg_30(image, generator):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


def crop_5_percent(image, generator):
    cut = 0.05 * SIZE
    left, top = generator.uniform(0, cut, 2)
    box = (left, top, left + SIZE - cut, top + SIZE - cut)
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box)


def brightness(image, generator):
    return ImageEnhance.Brightness(image).enhance(generator.uniform(0.7, 1.3))


def flip(image, generator):
    return ImageOps.mirror(image)


def text_overlay(image, generator):
    image = image.copy()
    place = generator.integers(4, 30), generator.integers(4, SIZE - 24)
    ImageDraw.Draw(image).text(
        tuple(map(int, place)),
        "Breaking news",
        fill="white",
        font=ImageFont.load_default(14),
        stroke_width=1,
        stroke_fill="black",
    )
    return image


CHANGES = (resize, jpeg_30, crop_5_percent, brightness, flip, text_overlay)


def write_pictures(folder):
    """Writes `against.jsonl` and `data.jsonl` with all their pictures."""
    from keras_paligemma.data.synthetic import SyntheticWorld

    def draw(world, index):
        focus = "words" if index % 8 == 0 else "objects"
        return Image.fromarray(world.scene(index, focus).image)

    def save(image, name):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, compress_level=1)
        return json.dumps({"image": name}) + "\n"

    generator = np.random.default_rng(0)
    lines, protected = [], []
    world = SyntheticWorld(SIZE, seed=1, split="transfer")
    for i in range(NUM_PROTECTED):
        image = draw(world, i)
        protected.append(save(image, f"protected/{i}.png"))
        for change in CHANGES:
            name = f"{change.__name__}/{i}.png"
            lines.append(save(change(image, generator), name))
    world = SyntheticWorld(SIZE, seed=1, split="pretrain")
    for i in range(NUM_DATA):
        lines.append(save(draw(world, i), f"unrelated/{i // 1000}/{i}.png"))
    order = generator.permutation(len(lines))
    (folder / "against.jsonl").write_text("".join(protected))
    (folder / "data.jsonl").write_text("".join(lines[i] for i in order))
    few = "".join(lines[i] for i in order[: len(lines) // 10])
    (folder / "tenth.jsonl").write_text(few)


def remove(folder, name, workers):
    """In a process of its own: removes, and prints what that cost."""
    from keras_paligemma.data.deduplication import deduplicate

    before = peak_memory()
    begin = time.perf_counter()
    summary = deduplicate(
        Path(folder) / "against.jsonl",
        Path(folder) / f"{name}.jsonl",
        Path(folder) / f"{name}-clean-{workers}.jsonl",
        workers=int(workers),
        progress=False,
    )
    seconds = time.perf_counter() - begin
    images = summary["images"] + summary["against_images"]
    result = {
        "removed": summary["removed"],
        "images": images,
        "a_second": images / seconds,
        "peak": peak_memory() / 1e6,
        "before": before / 1e6,
    }
    print(json.dumps(result))


def search(num_hashes):
    """In a process of its own: an index of random hashes, and queries."""
    from keras_paligemma.data.deduplication import Fingerprints
    from keras_paligemma.data.deduplication import NearDuplicateIndex

    generator = np.random.default_rng(0)

    def draw(count):
        return Fingerprints(
            generator.integers(0, 256, (count, 16, 32), "uint8"),
            generator.integers(0, 256, (count, 9, 8), "uint8"),
            np.ones((count, 10), bool),
            generator.normal(size=(count, 63)).astype("float32"),
        )

    NearDuplicateIndex(draw(10)).search(draw(10))
    queries, before = draw(NUM_QUERIES), peak_memory()
    prints = draw(int(num_hashes))
    begin = time.perf_counter()
    index = NearDuplicateIndex(prints)
    built = time.perf_counter()
    found = index.search(queries)
    result = {
        "build": built - begin,
        "search": time.perf_counter() - built,
        "memory": (peak_memory() - before) / 1e6,
        "found": len(found),
    }
    print(json.dumps(result))


def kinds_table(folder):
    """Recall and precision by kind of change, from the report."""
    found, right = collections.Counter(), collections.Counter()
    measures = collections.defaultdict(collections.Counter)
    for line in (folder / "data-clean-1.report/removed.jsonl").open():
        row = json.loads(line)
        path = Path(row["image"]).relative_to(folder)
        kind = path.parts[0]
        found[kind] += 1
        measures[kind][row["measure"]] += 1
        right[kind] += Path(row["duplicate_of"]).name == path.name
    false = found.pop("unrelated", 0)
    rows = []
    for change in CHANGES:
        kind = change.__name__
        rows.append(
            [
                kind.replace("_", " "),
                f"{found[kind] / NUM_PROTECTED:.3f}",
                f"{found[kind] / max(found[kind] + false, 1):.3f}",
                f"{right[kind] / max(found[kind], 1):.3f}",
                *(
                    str(measures[kind][measure])
                    for measure in ("whole", "crop", "regions")
                ),
            ]
        )
    header = ["change", "recall", "precision", "right image"]
    print(format_table([*header, "by whole", "by crop", "by regions"], rows))
    by_measure = dict(measures["unrelated"])
    print(
        f"false removals: {false} of {NUM_DATA} ({false / NUM_DATA:.3%}) "
        f"{by_measure}\n"
    )


def main():
    module = "tests.benchmarks.deduplication"
    backend = os.environ.get("KERAS_BACKEND", "torch")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        begin = time.perf_counter()
        write_pictures(folder)
        print(f"pictures drawn in {time.perf_counter() - begin:.0f} s\n")
        rows = []
        for data, workers in (("tenth", 1), ("data", 1), ("data", 2)):
            words = ["remove", name, data, str(workers)]
            result = run_fresh(module, words, backend)
            if "error" in result:
                raise RuntimeError(result["error"])
            keys = ("images", "a_second", "before", "peak")
            cells = [f"{result[key]:,.0f}" for key in keys]
            rows.append([str(workers), *cells])
        kinds_table(folder)
        header = ["workers", "images", "a second", "MB before", "MB at most"]
        print(format_table(header, rows), end="\n\n")
    rows = []
    for count in NUM_HASHES:
        result = run_fresh(module, ["search", str(count)], backend)
        if "error" in result:
            raise RuntimeError(result["error"])
        keys = ("build", "search", "memory", "found")
        formats = ("{:.2f}", "{:.2f}", "{:.0f}", "{}")
        cells = [
            f.format(result[k]) for f, k in zip(formats, keys, strict=True)
        ]
        rows.append([f"{count:,}", *cells])
    queries = f"s for {NUM_QUERIES:,} searches"
    header = ["hashes", "s to build", queries, "MB", "found by chance"]
    print(format_table(header, rows))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"remove": remove, "search": search}[sys.argv[1]](*sys.argv[2:])
    else:
        main()
