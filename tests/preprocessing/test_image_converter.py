import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_paligemma.preprocessing import PaliGemmaImageConverter
from keras_paligemma.preprocessing import resize_image


@pytest.fixture(scope="module")
def images(photographs):
    cat, coffee = photographs["cat"], photographs["coffee"]
    return [cat, coffee[:41, :33], cat[:20]]


def test_defaults_are_those_of_the_reference(photographs):
    image = photographs["temple"]
    converted = PaliGemmaImageConverter()(image)
    assert isinstance(converted, np.ndarray)
    assert converted.dtype == np.float32
    assert converted.shape == (224, 224, 3)
    for size in (224, 28):
        converted = PaliGemmaImageConverter(size)(image)
        resized = tf.image.resize(image, (size, size), antialias=True)
        np.testing.assert_allclose(converted, resized / 127.5 - 1, atol=1e-4)


def test_size_may_be_an_int_or_oblong(images):
    assert PaliGemmaImageConverter(28)(images[0]).shape == (28, 28, 3)
    converter = PaliGemmaImageConverter((14, 28))
    assert converter.image_size == (14, 28)
    assert converter(images[0]).shape == (14, 28, 3)
    converter.image_size = (28, 14)
    assert converter(images[0]).shape == (28, 14, 3)


def test_every_form_of_input_gives_the_same(images, tmp_path):
    converter = PaliGemmaImageConverter(28)
    expected = np.stack([converter(image) for image in images])
    paths = []
    for index, image in enumerate(images):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(image).save(paths[-1])
    for inputs in (
        images,
        tuple(images),
        paths,
        np.array([str(path) for path in paths]),
        [Image.fromarray(image) for image in images],
        [
            keras.ops.convert_to_tensor(images[0]),
            paths[1],
            Image.fromarray(images[2]),
        ],
    ):
        np.testing.assert_array_equal(converter(inputs), expected)


def test_batches_and_nested_lists(images):
    converter = PaliGemmaImageConverter(28)
    one, other = converter(images[0]), converter(images[1])
    batch = np.stack([images[0]] * 2)
    for inputs in (batch, keras.ops.convert_to_tensor(batch)):
        np.testing.assert_array_equal(converter(inputs), np.stack([one] * 2))
    assert converter(batch[None]).shape == (1, 2, 28, 28, 3)
    nested = converter([[images[0], images[1]], [images[1], images[0]]])
    expected = np.stack([np.stack([one, other]), np.stack([other, one])])
    np.testing.assert_array_equal(nested, expected)
    ragged = converter([[images[0], images[1]], [images[1]]])
    assert [array.shape[0] for array in ragged] == [2, 1]
    np.testing.assert_array_equal(ragged[1], other[None])


def test_letterbox_keeps_the_aspect_ratio_and_adds_black(images):
    image = np.full((20, 40, 3), 200, "uint8")
    converter = PaliGemmaImageConverter(16, pad_to_aspect_ratio=True)
    converted = converter(image)
    assert converted.shape == (16, 16, 3)
    np.testing.assert_array_equal(converted[:4], -1.0)
    np.testing.assert_array_equal(converted[12:], -1.0)
    np.testing.assert_allclose(converted[4:12], 200 / 127.5 - 1, atol=1e-6)


def test_crop_takes_the_centre():
    image = np.zeros((20, 40, 3), "uint8")
    image[:, 10:30] = 255
    converter = PaliGemmaImageConverter(10, crop_to_aspect_ratio=True)
    np.testing.assert_allclose(converter(image), 1.0, atol=1e-6)
    squashed = PaliGemmaImageConverter(10)(image)
    assert squashed.min() < -0.9


def test_scale_and_offset_may_differ_by_channel():
    converter = PaliGemmaImageConverter(
        4, scale=[1.0, 2.0, 3.0], offset=[0.0, 0.0, 5.0]
    )
    converted = converter(np.full((4, 4, 3), 10, "uint8"))
    np.testing.assert_array_equal(converted[0, 0], [10.0, 20.0, 35.0])
    unscaled = PaliGemmaImageConverter(4, scale=None, offset=None)
    assert unscaled(np.full((4, 4), 10, "uint8")).max() == 10.0


@pytest.mark.parametrize(
    "options",
    [{}, {"antialias": False}, {"interpolation": "bicubic"}],
    ids=["default", "plain", "bicubic"],
)
def test_tf_data_map_equals_plain_call(images, options, tmp_path):
    converter = PaliGemmaImageConverter(28, **options)
    expected = converter(images[0])
    dataset = tf.data.Dataset.from_tensors(images[0])
    mapped = dataset.map(converter)
    assert mapped.element_spec.shape == (28, 28, 3)
    np.testing.assert_array_equal(next(iter(mapped)), expected)
    mapped = dataset.batch(2).map(converter)
    assert mapped.element_spec.shape.as_list() == [None, 28, 28, 3]
    np.testing.assert_array_equal(next(iter(mapped)), expected[None])
    mapped = dataset.batch(2).batch(1).map(converter)
    assert mapped.element_spec.shape.as_list() == [None, None, 28, 28, 3]
    Image.fromarray(images[0]).save(tmp_path / "image.png")
    dataset = tf.data.Dataset.from_tensors(str(tmp_path / "image.png"))
    np.testing.assert_array_equal(next(iter(dataset.map(converter))), expected)
    np.testing.assert_array_equal(
        next(iter(dataset.batch(1).map(converter))), expected[None]
    )


def test_config_and_pickle(images):
    converter = PaliGemmaImageConverter(
        (14, 28), interpolation="bicubic", pad_to_aspect_ratio=True
    )
    serialized = keras.saving.serialize_keras_object(converter)
    assert (
        serialized["registered_name"]
        == "keras_paligemma>PaliGemmaImageConverter"
    )
    for restored in (
        keras.saving.deserialize_keras_object(serialized),
        pickle.loads(pickle.dumps(converter)),
    ):
        assert restored.get_config() == converter.get_config()
        np.testing.assert_array_equal(restored(images[1]), converter(images[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolation": "lanczos3"}, "interpolation='lanczos3'"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_size": (3,)}, "image_size="),
        ({"image_size": "big"}, "image_size='big'"),
        ({"data_format": "channels_first"}, "data_format"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PaliGemmaImageConverter(**options)


def test_bad_images_are_refused():
    converter = PaliGemmaImageConverter(28)
    with pytest.raises(ValueError, match="empty list"):
        converter([])
    with pytest.raises(ValueError, match="shape="):
        converter(np.zeros((2, 4, 5, 2), "uint8"))
    with pytest.raises(FileNotFoundError, match="nowhere.png"):
        converter(["nowhere.png"])


def test_uses_the_resizing_function(images):
    converter = PaliGemmaImageConverter((30, 20), scale=None, offset=None)
    np.testing.assert_array_equal(
        converter(images[1]), resize_image(images[1], (30, 20))
    )
