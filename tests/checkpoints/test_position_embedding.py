import numpy as np
import pytest
import scipy.ndimage

from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.position_embedding import (
    resize_position_embedding,
)
from keras_paligemma.checkpoints.position_embedding import (
    resized_position_embedding,
)


@pytest.mark.parametrize(("old", "new"), [(4, 8), (4, 7), (5, 3), (3, 3)])
def test_equals_the_published_rule(old, new):
    values = np.random.default_rng(0).standard_normal((old * old, 6))
    values = values.astype("float32")
    expected = scipy.ndimage.zoom(
        values.reshape(old, old, 6), (new / old, new / old, 1), order=1
    )
    resized = resize_position_embedding(values, new)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected.reshape(-1, 6), atol=1e-6)


def test_docstring_example():
    corners = np.array([[0.0], [1.0], [2.0], [3.0]])
    resized = resize_position_embedding(corners, 3)[:, 0]
    assert resized.tolist() == [0, 0.5, 1, 1, 1.5, 2, 2, 2.5, 3]


def test_one_patch():
    np.testing.assert_array_equal(
        resize_position_embedding(np.ones((1, 2)), 2), np.ones((4, 2))
    )
    values = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(
        resize_position_embedding(values, 1), values[:1]
    )


def test_lazy():
    values = np.arange(8.0).reshape(4, 2)
    array = LazyArray.from_numpy(values, "f: position")
    assert resized_position_embedding(array, 2) is array
    resized = resized_position_embedding(array, 3)
    assert resized.shape == (9, 2)
    expected = resize_position_embedding(values, 3)
    np.testing.assert_array_equal(resized.read(), expected)
    np.testing.assert_array_equal(resized.read_rows(2, 5), expected[2:5])


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"Received: shape=\(5, 2\)"):
        resize_position_embedding(np.ones((5, 2)), 3)
