"""Plain call, `tf.data` and grain give the same arrays, bit by bit."""

import copy
import pickle

import grain
import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor
from keras_paligemma.preprocessing import PaliGemmaImageConverter


@pytest.fixture(scope="module")
def preprocessor(tiny_tokenizer):
    return PaliGemmaCausalLMPreprocessor(
        tiny_tokenizer, PaliGemmaImageConverter(28), sequence_length=24
    )


@pytest.fixture(scope="module")
def examples(photographs):
    return {
        "images": np.stack([photographs["cat"], photographs["coffee"]]),
        "prompts": ["caption en", "<image>caption de\n"],
        "responses": ["A cat", "Größe: 10 €"],
    }


def rows(examples):
    return [{k: v[i] for k, v in examples.items()} for i in range(2)]


def assert_bit_equal(actual, expected):
    actual = keras.tree.map_structure(np.asarray, actual)
    keras.tree.assert_same_structure(actual, expected)
    for a, b in zip(
        keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_tf_data(preprocessor, examples):
    expected = preprocessor(examples)
    dataset = tf.data.Dataset.from_tensor_slices(examples)
    batched = dataset.batch(2, drop_remainder=True).map(preprocessor)
    specs = keras.tree.map_structure(
        lambda spec: tuple(spec.shape), batched.element_spec
    )
    assert specs == keras.tree.map_structure(np.shape, expected)
    assert_bit_equal(next(iter(batched)), expected)
    unbatched = dataset.map(preprocessor, num_parallel_calls=2).batch(2)
    assert_bit_equal(next(iter(unbatched)), expected)


def test_tf_data_generation(preprocessor, examples):
    dataset = tf.data.Dataset.from_tensor_slices(examples).batch(2)
    assert_bit_equal(
        next(iter(dataset.map(preprocessor.generate_preprocess))),
        preprocessor.generate_preprocess(examples),
    )
    prompts = {k: examples[k] for k in ("images", "prompts")}
    dataset = tf.data.Dataset.from_tensor_slices(prompts)
    assert_bit_equal(
        next(iter(dataset.map(preprocessor.generate_preprocess).batch(2))),
        preprocessor.generate_preprocess(prompts),
    )


def test_tf_data_with_paths(preprocessor, examples, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for image, path in zip(examples["images"], paths, strict=True):
        Image.fromarray(image).save(path)
    expected = preprocessor(examples)
    inputs = {**examples, "images": paths}
    assert_bit_equal(preprocessor(inputs), expected)
    dataset = tf.data.Dataset.from_tensor_slices(inputs)
    assert_bit_equal(next(iter(dataset.batch(2).map(preprocessor))), expected)
    assert_bit_equal(next(iter(dataset.map(preprocessor).batch(2))), expected)


@pytest.mark.parametrize("count", [1, 3])
def test_tf_data_with_several_images(preprocessor, examples, count):
    images = np.stack([examples["images"]] * count, axis=1)
    inputs = {**examples, "images": images}
    expected = preprocessor(inputs)
    assert ("image_mask" in expected[0]) == (count > 1)
    dataset = tf.data.Dataset.from_tensor_slices(inputs)
    assert_bit_equal(next(iter(dataset.batch(2).map(preprocessor))), expected)
    assert_bit_equal(next(iter(dataset.map(preprocessor).batch(2))), expected)


def test_tf_data_without_an_image_converter(tiny_tokenizer, examples):
    preprocessor = PaliGemmaCausalLMPreprocessor(
        tiny_tokenizer, sequence_length=24
    )
    inputs = {**examples, "images": examples["images"] / 255.0}
    dataset = tf.data.Dataset.from_tensor_slices(inputs).batch(2)
    mapped = dataset.map(preprocessor)
    assert mapped.element_spec[0]["images"].shape[1:] == (60, 80, 3)
    assert_bit_equal(next(iter(mapped)), preprocessor(inputs))


def test_tf_data_names_what_is_wrong(preprocessor, examples):
    inputs = {**examples, "images": ["nowhere.png"] * 2}
    dataset = tf.data.Dataset.from_tensor_slices(inputs).map(preprocessor)
    with pytest.raises(tf.errors.OpError, match="nowhere.png"):
        next(iter(dataset))


def test_grain_threads(preprocessor, examples):
    expected = preprocessor(examples)
    dataset = grain.MapDataset.source(rows(examples)).map(preprocessor)
    for value in keras.tree.flatten(dataset[0]):
        assert isinstance(value, np.ndarray)
    assert_bit_equal(dataset.batch(2)[0], expected)


def test_grain_worker_processes(preprocessor, examples):
    expected = preprocessor(examples)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    dataset = grain.MapDataset.source(rows(examples)).map(preprocessor)
    dataset = dataset.to_iter_dataset().batch(2)
    dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=1))
    (batch,) = list(dataset)
    assert_bit_equal(batch, expected)


def test_pickle_and_copy(preprocessor, examples):
    expected = preprocessor(examples)
    for other in (
        pickle.loads(pickle.dumps(preprocessor)),
        copy.deepcopy(preprocessor),
    ):
        assert_bit_equal(other(examples), expected)
    with_nothing = PaliGemmaCausalLMPreprocessor(preprocessor.tokenizer)
    restored = pickle.loads(pickle.dumps(with_nothing))
    assert restored.image_converter is None


def test_keras_hub_fit_accepts_the_outputs(preprocessor, examples):
    """Keras-Hub maps a preprocessor over grain for arrays and lists."""
    import keras_hub

    class Head(keras_hub.models.CausalLM):
        preprocessor_cls = PaliGemmaCausalLMPreprocessor

    images = keras.Input((28, 28, 3), name="images")
    tokens = {
        key: keras.Input((None,), dtype="int32", name=key)
        for key in ("token_ids", "padding_mask", "response_mask")
    }
    brightness = keras.layers.GlobalAveragePooling2D()(images)
    brightness = keras.layers.Dense(8)(brightness)
    hidden = keras.layers.Embedding(1552, 8)(tokens["token_ids"])
    hidden = hidden + keras.layers.RepeatVector(24)(brightness)
    logits = keras.layers.Dense(1552)(hidden)
    inputs = {"images": images, **tokens}
    model = keras.Model(inputs, logits)
    head = Head(inputs=inputs, outputs=model(inputs))
    head.preprocessor = preprocessor
    head.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=False,
    )
    history = head.fit(examples, batch_size=2, epochs=2, verbose=0)
    losses = history.history["loss"]
    assert losses[1] < losses[0]
