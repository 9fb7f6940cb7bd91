import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_paligemma.tasks import decode_locations
from keras_paligemma.tasks import encode_locations
from keras_paligemma.tasks import read_locations
from keras_paligemma.tasks import write_locations


def test_encoding_on_literals():
    coordinates = [-0.3, 0.0, 0.4 / 1023, 0.6 / 1023, 0.5, 1.0, 7.0]
    assert encode_locations(coordinates).tolist() == [
        *(0, 0, 0, 1, 512, 1023, 1023)
    ]


def test_halves_go_to_the_even_index():
    # 1023 / 1024 * 512 = 511.5 and 1023 / 1024 * 2.5 cannot be hit, so the
    # exact halves of this divisor are odd multiples of 1 / 2046.
    halves = np.array([1, 1023, 1021]) / 2046
    exact = 1023 * halves == np.array([0.5, 511.5, 510.5])
    assert exact.all()
    assert encode_locations(halves).tolist() == [0, 512, 510]


def test_each_index_survives():
    indices = np.arange(1024)
    assert (encode_locations(decode_locations(indices)) == indices).all()
    text = write_locations(decode_locations(indices))
    assert text.startswith("<loc0000><loc0001>")
    assert text.endswith("<loc1023>")
    assert read_locations(text) == decode_locations(indices).tolist()


@given(st.floats(0, 1))
def test_a_coordinate_moves_by_half_a_bin_at_most(coordinate):
    moved = decode_locations(encode_locations(coordinate))
    assert abs(moved - coordinate) <= 0.5 / 1023 + 1e-12


def test_text_that_is_no_location_is_not_read():
    assert read_locations("<loc1024><loc9999><loc12><loc00001>") == []


def test_errors():
    with pytest.raises(ValueError, match="finite"):
        encode_locations([0.5, float("nan")])
    for index in (-1, 1024):
        with pytest.raises(ValueError, match="0..1023"):
            decode_locations([index])
