"""Files to clean, and the job that cleans them."""

import json
from pathlib import Path

from keras_paligemma.data.deduplication import deduplicate

# Rows of the data that are copies, and of which protected picture.
COPIES = {3: 0, 7: 1, 12: 2, 20: 3}


def inputs(folder):
    return {
        "against": folder / "transfer" / "transfer.jsonl",
        "data": folder / "pretrain" / "pretrain.jsonl",
    }


def run(folder, out, **options):
    return deduplicate(
        **{**inputs(folder), "out": out, "progress": False, **options}
    )


def read_lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def outputs(out):
    report = out.with_suffix(".report")
    return out.read_bytes(), (report / "removed.jsonl").read_bytes()
