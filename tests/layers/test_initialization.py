"""Initial values by context."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers import TransposedDense
from keras_paligemma.layers import initialize_with


def kernel():
    layer = TransposedDense(3)
    layer.build((None, None, 2))
    return ops.convert_to_numpy(layer.kernel)


def test_the_context_replaces_every_initializer_and_ends():
    with initialize_with(keras.initializers.Constant(2.0)):
        assert (kernel() == 2.0).all()
        with initialize_with(keras.initializers.Zeros()):
            assert (kernel() == 0.0).all()
        assert (kernel() == 2.0).all()
    assert np.unique(kernel()).size > 1


def test_the_context_ends_after_an_error():
    with pytest.raises(KeyError), initialize_with(keras.initializers.Zeros()):
        raise KeyError
    assert np.unique(kernel()).size > 1
