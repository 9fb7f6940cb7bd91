"""The helpers of several processes, in one process."""

import keras
import numpy as np
import pytest

from keras_paligemma.training import processes


def test_one_process_feeds_everything_and_is_the_chief():
    assert processes.process_index() == 0
    assert processes.process_count() == 1
    assert processes.is_chief()
    assert processes.data_share() == (0, 1)
    processes.wait_for_all()
    processes.shutdown()


def test_gather_gives_the_values_of_variables_and_tensors():
    values = np.arange(6, dtype="float32").reshape(2, 3)
    variable = keras.Variable(values)
    for value in (variable, variable.value):
        gathered = processes.gather(value)
        assert isinstance(gathered, np.ndarray)
        np.testing.assert_array_equal(gathered, values)


@pytest.mark.skipif(
    keras.config.backend() == "jax",
    reason="JAX finds clusters by itself, before anything is computed only",
)
def test_initialize_says_how_processes_are_started(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="torchrun|tf.distribute"):
        processes.initialize()
