import os

import ml_dtypes
import numpy as np
import pytest

from keras_paligemma.checkpoints.npz_reader import read_npz

RNG = np.random.default_rng(0)
BFLOAT16 = RNG.standard_normal((4, 3)).astype(ml_dtypes.bfloat16)
ARRAYS = {
    "params/a": RNG.standard_normal((5, 2, 3)).astype("float32"),
    "params/b/c": RNG.standard_normal(6).astype("float16"),
    "fortran": np.asfortranarray(RNG.standard_normal((4, 6))),
    "scalar": np.array(3.0, "float32"),
}


def _write(path, compressed):
    save = np.savez_compressed if compressed else np.savez
    save(path, **ARRAYS, bits=BFLOAT16.view("V2"))


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_numpy_wrote(tmp_path, compressed):
    path = tmp_path / "x.npz"
    _write(path, compressed)
    found = read_npz(path)
    assert set(found) == {*ARRAYS, "bits"}
    for key, expected in {**ARRAYS, "bits": BFLOAT16}.items():
        assert found[key].dtype == expected.dtype
        np.testing.assert_array_equal(found[key].read(), expected)
    array, expected = found["params/a"], ARRAYS["params/a"]
    for start in (1, 3, 3, 0, 4):
        rows = array.read_rows(start, start + 1)
        np.testing.assert_array_equal(rows, expected[start : start + 1])


def test_pickled_objects_are_refused_and_named(tmp_path):
    path = tmp_path / "x.npz"
    # Unpickling this would raise another error than the one expected.
    np.savez(path, good=np.ones(3), bad=np.array([Explosive()], dtype=object))
    with pytest.raises(ValueError, match="bad: the array holds pickled") as e:
        read_npz(path)
    assert str(path) in str(e.value)


class Explosive:
    def __reduce__(self):
        return (exec, ("raise RuntimeError('unpickled')",))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated(tmp_path, share, compressed):
    path = tmp_path / "x.npz"
    _write(path, compressed)
    os.truncate(path, int(share * os.path.getsize(path)))
    with pytest.raises(ValueError, match="x.npz: the file is cut short"):
        read_npz(path)


def test_a_member_that_is_no_array(tmp_path):
    import zipfile

    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="readme.txt"):
        read_npz(path)
