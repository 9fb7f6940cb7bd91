"""Every way of feeding examples gives the same loss.

The rate is zero, so that nothing is learnt, and one model serves all.
"""

import keras
import numpy as np
import pytest
from PIL import Image

from tests import tiny
from tests import tiny_preset
from tests.models import tiny_models

RESPONSES = ["A cat", "A cup of coffee", "blue", "A pink flower, a dahlia"]


@pytest.fixture(scope="module")
def model():
    task = tiny_preset.tiny_model()
    tiny_models.randomise(task.backbone)
    task.compile(keras.optimizers.SGD(0.0))
    return task


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Four examples: an array, a path, another size and a `PIL.Image`."""
    photographs = tiny.photographs()
    path = tmp_path_factory.mktemp("images") / "coffee.png"
    Image.fromarray(photographs["coffee"]).save(path)
    return {
        "images": [
            photographs["cat"],
            str(path),
            tiny.photographs((40, 30))["temple"],
            Image.fromarray(photographs["flower"]),
        ],
        "prompts": ["caption en"] * 4,
        "responses": list(RESPONSES),
    }


@pytest.fixture(scope="module")
def uniform(model, raw):
    """The same examples with images of one size already."""
    converter = model.preprocessor.image_converter
    images = [converter([image])[0] for image in raw["images"]]
    pixels = (np.stack([np.asarray(i) for i in images]) + 1) * 127.5
    return {**raw, "images": pixels.astype("float32")}


@pytest.fixture(scope="module")
def losses(model, raw):
    """Each example's loss, by the formula in NumPy."""
    _, targets, weights = model.preprocessor(raw)
    log_probs = tiny_models.log_softmax(model.score(raw, "logits"))
    chosen = np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
    return -(chosen * weights).sum(axis=1) / weights.sum(axis=1)


def first_loss(history, key="loss"):
    return history.history[key][0]


def raw_batches(raw, size=2):
    return [
        {key: values[i : i + size] for key, values in raw.items()}
        for i in range(0, 4, size)
    ]


def test_fit_on_lists_and_validation_data(model, raw, losses):
    history = model.fit(
        raw, batch_size=2, validation_data=raw, verbose=0, epochs=2
    )
    for key in ("loss", "val_loss"):
        np.testing.assert_allclose(
            history.history[key], losses.mean(), rtol=1e-4
        )


def test_validation_split_keeps_the_last(model, raw, losses):
    history = model.fit(raw, batch_size=2, validation_split=0.5, verbose=0)
    assert first_loss(history) == pytest.approx(losses[:2].mean(), rel=1e-4)
    validation = first_loss(history, "val_loss")
    assert validation == pytest.approx(losses[2:].mean(), rel=1e-4)
    with pytest.raises(ValueError, match="validation_split=0.9.*4 examples"):
        model.fit(raw, validation_split=0.9)


def test_evaluate_and_predict(model, raw, losses):
    result = model.evaluate(raw, batch_size=2, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    logits = model.predict(raw, batch_size=2, verbose=0)
    np.testing.assert_allclose(logits, model.score(raw, "logits"), atol=1e-3)


def test_a_py_dataset_of_raw_batches(model, raw, losses):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return raw_batches(raw)[index]

    history = model.fit(Batches(), verbose=0)
    assert first_loss(history) == pytest.approx(losses.mean(), rel=1e-4)


def test_a_torch_loader_of_raw_batches(model, raw, losses):
    data = pytest.importorskip("torch.utils.data")
    examples = [
        {key: values[i] for key, values in raw.items()} for i in range(4)
    ]
    loader = data.DataLoader(
        examples,
        batch_size=2,
        collate_fn=lambda rows: {
            key: [row[key] for row in rows] for key in rows[0]
        },
    )
    history = model.fit(loader, epochs=2, verbose=0)
    np.testing.assert_allclose(
        history.history["loss"], losses.mean(), rtol=1e-4
    )


def test_a_grain_dataset_of_raw_batches(model, uniform, losses):
    grain = pytest.importorskip("grain")
    examples = [
        {key: values[i] for key, values in uniform.items()} for i in range(4)
    ]
    dataset = grain.MapDataset.source(examples).batch(2)
    history = model.fit(dataset, verbose=0)
    assert first_loss(history) == pytest.approx(losses.mean(), rel=1e-3)


def test_a_tf_data_dataset_of_raw_batches(model, uniform, losses):
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices(uniform).batch(2)
    history = model.fit(dataset, verbose=0)
    assert first_loss(history) == pytest.approx(losses.mean(), rel=1e-3)


def test_single_batches(model, raw, losses):
    batch = raw_batches(raw)[0]
    expected = pytest.approx(losses[:2].mean(), rel=1e-4)
    assert model.train_on_batch(batch, return_dict=True)["loss"] == expected
    assert model.test_on_batch(batch, return_dict=True)["loss"] == expected
    logits = keras.ops.convert_to_numpy(model.predict_on_batch(batch))
    assert logits.shape == (2, 32, model.backbone.vocabulary_size)


def test_model_inputs_without_a_preprocessor(model, raw, losses):
    x, y, sample_weight = model.preprocessor(raw)
    preprocessor, model.preprocessor = model.preprocessor, None
    try:
        history = model.fit(
            x, y, sample_weight=sample_weight, batch_size=2, verbose=0
        )
    finally:
        model.preprocessor = preprocessor
    assert first_loss(history) == pytest.approx(losses.mean(), rel=1e-4)


def test_a_generator_that_runs_out_is_told(model, raw):
    batches = (batch for batch in raw_batches(raw))
    # TensorFlow wraps what Python data raises in an error of its own.
    with pytest.raises(Exception, match="ran out in the middle.* generator"):
        model.fit(batches, steps_per_epoch=2, epochs=2, verbose=0)


def test_counts_that_differ_are_told(model, raw):
    bad = {**raw, "prompts": raw["prompts"][:3]}
    with pytest.raises(ValueError, match="'prompts': 3"):
        model.fit(bad, verbose=0)
    with pytest.raises(ValueError, match=r"single value for: \['prompts'\]"):
        model.evaluate({**raw, "prompts": "caption en"}, verbose=0)


def test_label_smoothing_is_an_option_of_compile(raw):
    model = tiny_preset.tiny_model()
    tiny_models.randomise(model.backbone)
    model.compile(keras.optimizers.SGD(0.0), label_smoothing=0.1)
    _, targets, weights = model.preprocessor(raw)
    log_probs = tiny_models.log_softmax(model.score(raw, "logits"))
    vocabulary = log_probs.shape[-1]
    right = np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
    share = 0.1 / (vocabulary - 1)
    smoothed = (0.9 - share) * right + share * log_probs.sum(axis=-1)
    expected = -((smoothed * weights).sum(1) / weights.sum(1)).mean()
    loss = model.evaluate(raw, batch_size=4, verbose=0, return_dict=True)
    assert loss["loss"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="label_smoothing=0.1"):
        model.compile(loss="mse", label_smoothing=0.1)
