import numpy as np
import pytest

from keras_paligemma.checkpoints.arrays import LazyArray
from keras_paligemma.checkpoints.arrays import mapped_array
from keras_paligemma.checkpoints.arrays import same_values

VALUES = np.arange(2 * 3 * 4, dtype="float32").reshape(2, 3, 4)


@pytest.fixture(params=["memory", "file"])
def array(request, tmp_path):
    if request.param == "memory":
        return LazyArray.from_numpy(VALUES, "memory")
    path = tmp_path / "values"
    path.write_bytes(b"abc" + VALUES.tobytes())
    return mapped_array(path, 3, VALUES.shape, "float32", "file: values")


def test_views_are_what_numpy_gives(array):
    views = [
        (array, VALUES),
        (array.transposed((0, 2, 1)), VALUES.transpose(0, 2, 1)),
        (array.transposed((2, 0, 1)), VALUES.transpose(2, 0, 1)),
        (array.reshaped((6, 4)), VALUES.reshape(6, 4)),
        (array.reshaped((2, 12)), VALUES.reshape(2, 12)),
        (array.layer(1), VALUES[1]),
        (array.layer(1).layer(2), VALUES[1, 2]),
        (array.layer(1).layer(2).layer(3), VALUES[1, 2, 3]),
        (array.layer(0).rows(1, 3), VALUES[0, 1:3]),
        (array.layer(0).transposed((1, 0)).rows(1, 3), VALUES[0].T[1:3]),
        (array.padded(4), np.concatenate([VALUES, 0 * VALUES])),
        (LazyArray.stacked([array, array], "two"), np.stack([VALUES] * 2)),
    ]
    for view, expected in views:
        assert view.shape == expected.shape
        np.testing.assert_array_equal(view.read(), expected)
        if view.shape:
            for start in range(view.num_rows):
                rows = view.read_rows(start, start + 1)
                np.testing.assert_array_equal(rows, expected[start : start + 1])


def test_blocks_cover_all_rows_once(array):
    flat = array.reshaped((2, 12))
    assert flat.blocks(48) == [(0, 1), (1, 2)]
    assert flat.blocks(10**6) == [(0, 2)]
    assert array.transposed((1, 0, 2)).blocks(4) == [(0, 3)]


def test_copy_into_casts(array):
    out = np.empty(VALUES.shape, "float16")
    array.copy_into(out)
    np.testing.assert_array_equal(out, VALUES)


def test_same_values(array):
    other = VALUES.copy()
    assert same_values(array, LazyArray.from_numpy(other, "x"))
    other[-1, -1, -1] += 1
    assert not same_values(array, LazyArray.from_numpy(other, "x"))


def test_reshape_to_another_size_is_refused(array):
    with pytest.raises(ValueError, match=r"Received: shape=\(5, 5\)"):
        array.reshaped((5, 5))


def test_empty_arrays(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    empty = mapped_array(tmp_path / "empty", 0, (0, 4), "float32", "empty")
    assert empty.read().shape == (0, 4)
