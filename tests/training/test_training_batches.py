import numpy as np
import pytest

from keras_paligemma.training import TrainingBatches


class Numbers:
    """A source whose examples are their own indices."""

    def __init__(self):
        self.asked = []

    def batch(self, start, size):
        self.asked.append(start)
        return np.arange(start, start + size)


def batches_of(source=None, **changes):
    settings = {"batch_size": 4, "total_steps": 7, "steps_per_epoch": 3}
    return TrainingBatches(
        source or Numbers(), lambda raw: raw * 10, **{**settings, **changes}
    )


def test_a_step_is_its_batch_whatever_was_read_before():
    batches = batches_of()
    order = [0, 1, 2, 6, 3, 3, 0, 5]
    for step in order:
        expected = np.arange(4 * step, 4 * step + 4) * 10
        np.testing.assert_array_equal(batches.at_step(step), expected)


def test_an_epoch_goes_on_where_the_one_before_it_ended():
    batches = batches_of()
    assert (len(batches), batches.num_epochs) == (3, 3)
    batches.epoch = 2
    np.testing.assert_array_equal(batches[0], [240, 250, 260, 270])


def test_processes_share_each_batch():
    parts = [
        batches_of(process_index=index, process_count=2).at_step(5)
        for index in (0, 1)
    ]
    np.testing.assert_array_equal(
        np.concatenate(parts), batches_of().at_step(5)
    )


def test_reads_ahead_but_not_past_the_end():
    source = Numbers()
    batches = batches_of(source, ahead=4)
    batches.at_step(5)
    batches.at_step(6)
    assert set(source.asked) == {20, 24}


def test_an_error_of_a_reader_is_raised_where_it_is_asked_for():
    class Broken(Numbers):
        def batch(self, start, size):
            if start == 4:
                raise ValueError("broken.jsonl:7")
            return super().batch(start, size)

    batches = batches_of(Broken())
    batches.at_step(0)
    with pytest.raises(ValueError, match="broken.jsonl:7"):
        batches.at_step(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0},
        {"total_steps": 0},
        {"threads": 0},
        {"process_count": 3},
        {"process_index": 2, "process_count": 2},
    ],
)
def test_refuses_sizes_that_cannot_be(changes):
    with pytest.raises(ValueError, match="Received: "):
        batches_of(**changes)
