"""Columns of the libraries that they are read from, themselves."""

import numpy as np
import pytest
from PIL import Image

from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.readers.columns import read_columns


# What the libraries leave to the garbage collector, and import.
@pytest.mark.filterwarnings("ignore")
def test_a_data_source_of_tfds(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    from tests.data.readers.drawn_tfds import DrawnTfds

    builder = DrawnTfds(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    data = builder.as_data_source(split="train")
    records = read_columns(data, "caption en", "{caption}", source="drawn")
    assert len(records) == 5
    for record in records:
        pixels = np.asarray(record.decoded().images[0])
        assert pixels.shape == (4, 6, 3)
        assert record.suffix == f"grey {pixels.max()}"
    batch = Mixture({"drawn": (records, 1.0)}, seed=0).batch(0, 5)
    assert sorted(batch["responses"]) == [f"grey {n}" for n in range(5)]


@pytest.mark.filterwarnings("ignore")
def test_a_dataset_of_hugging_face(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    images = [Image.fromarray(np.full((4, 6, 3), n, "uint8")) for n in range(3)]
    columns = {
        "image": images,
        "question": ["how grey?"] * 3,
        "answers": [[f"grey {n}", f"{n}"] for n in range(3)],
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answers": datasets.List(datasets.Value("string")),
        }
    )
    data = datasets.Dataset.from_dict(columns, features=features)
    records = read_columns(data, "answer en {question}", "{answers}")
    for number, record in enumerate(records):
        assert record.prefix == "answer en how grey?"
        assert record.choices == (f"grey {number}", str(number))
        assert np.asarray(record.decoded().images[0]).max() == number
    with pytest.raises(ValueError, match=r"columns \['answer'\]"):
        read_columns(data, "answer en {question}", "{answer}")
