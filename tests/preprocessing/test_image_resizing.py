import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from keras_paligemma.preprocessing import resize_image

SIZES = [(28, 28), (97, 31), (150, 260)]


@pytest.fixture(scope="module")
def photograph():
    return skimage.data.chelsea()[50:190, 60:300]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("antialias", [True, False])
def test_bilinear_equals_tf_image(photograph, size, antialias):
    """`tf.image.resize` is what big_vision calls."""
    expected = tf.image.resize(photograph, size, antialias=antialias)
    resized = resize_image(photograph, size, antialias=antialias)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=0.01)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("antialias", [True, False])
def test_bicubic_equals_tf_image_where_nothing_is_clipped(
    photograph, size, antialias
):
    image = 100 + photograph / 8.0
    expected = tf.image.resize(image, size, "bicubic", antialias=antialias)
    resized = resize_image(image, size, "bicubic", antialias=antialias)
    # Without antialiasing TensorFlow rounds the kernel to a table.
    np.testing.assert_allclose(resized, expected, atol=0.05)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_values_stay_in_range_and_the_same_size_is_kept(
    interpolation, antialias
):
    image = (np.indices((20, 30)).sum(axis=0) // 4 % 2 * 255).astype("uint8")
    image = np.repeat(image[..., None], 3, axis=-1)
    resized = resize_image(image, (37, 41), interpolation, antialias)
    assert resized.min() >= 0.0
    assert resized.max() <= 255.0
    same = resize_image(image, (20, 30), interpolation, antialias)
    np.testing.assert_array_equal(same, image)


def test_literal_of_the_docstring():
    image = np.array([[[0] * 3, [100] * 3]], "uint8")
    assert resize_image(image, (1, 1)).tolist() == [[[50.0, 50.0, 50.0]]]
