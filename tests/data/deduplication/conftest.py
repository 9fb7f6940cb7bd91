"""Twenty-four pictures, four of them copies of protected ones."""

import pytest
from PIL import ImageOps

from tests.data.deduplication.jobs import COPIES
from tests.data.deduplication.pictures import jpeg
from tests.data.deduplication.pictures import picture
from tests.data.deduplication.pictures import write_records


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    protected = {f"t{i}.png": picture(1000 + i) for i in range(4)}
    write_records(root / "transfer" / "transfer.jsonl", protected)
    images = {f"p{i}.png": picture(i) for i in range(24)}
    changes = (
        lambda image: image.resize((50, 70)),
        lambda image: jpeg(image, 30),
        ImageOps.mirror,
        lambda image: image.crop((5, 5, 96, 96)),
    )
    for row, reference in COPIES.items():
        images[f"p{row}.png"] = changes[reference](picture(1000 + reference))
    write_records(root / "pretrain" / "pretrain.jsonl", images, suffix="é")
    return root
