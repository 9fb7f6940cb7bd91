"""Batches of raw examples: order, sizes and what is refused."""

import keras
import numpy as np
import pytest

from keras_paligemma.models.training_data import PreprocessedBatches
from keras_paligemma.models.training_data import PreprocessedLoader
from keras_paligemma.models.training_data import RawExamples
from keras_paligemma.models.training_data import count_examples
from keras_paligemma.models.training_data import preprocessed

EXAMPLES = {"images": list("abcde"), "prompts": [1, 2, 3, 4, 5]}


def prompts_of(batch):
    return batch["prompts"]


def epoch(data):
    batches = [data[i] for i in range(len(data))]
    data.on_epoch_end()
    return batches


def test_batches_keep_order_and_the_last_is_smaller():
    data = RawExamples(EXAMPLES, dict, batch_size=2)
    assert len(data) == 3
    expected = [
        {"images": ["a", "b"], "prompts": [1, 2]},
        {"images": ["c", "d"], "prompts": [3, 4]},
        {"images": ["e"], "prompts": [5]},
    ]
    assert epoch(data) == expected == epoch(data)


def test_shuffled_epochs_differ_and_miss_nothing():
    keras.utils.set_random_seed(0)
    data = RawExamples(EXAMPLES, prompts_of, batch_size=2, shuffle=True)
    epochs = [sum(epoch(data), []) for _ in range(6)]
    assert all(sorted(e) == EXAMPLES["prompts"] for e in epochs)
    assert len({tuple(e) for e in epochs}) > 1
    keras.utils.set_random_seed(0)
    data = RawExamples(EXAMPLES, prompts_of, batch_size=2, shuffle=True)
    assert [sum(epoch(data), []) for _ in range(6)] == epochs


def test_indices_choose_examples():
    data = RawExamples(EXAMPLES, prompts_of, indices=np.array([3, 1]))
    assert epoch(data) == [[4, 2]]


def test_counts_must_agree():
    assert count_examples(EXAMPLES) == 5
    with pytest.raises(ValueError, match="'images': 5, 'prompts': 2"):
        count_examples({**EXAMPLES, "prompts": [1, 2]})
    with pytest.raises(ValueError, match="single value for: .'prompts'"):
        count_examples({**EXAMPLES, "prompts": "caption en"})


def test_a_loader_begins_anew_each_epoch():
    data = PreprocessedLoader([EXAMPLES, EXAMPLES], prompts_of)
    assert data.num_batches == 2
    for _ in range(2):
        assert [data[0], data[1]] == [EXAMPLES["prompts"]] * 2
        data.on_epoch_end()


def test_a_generator_has_no_length_and_runs_out():
    data = PreprocessedLoader(iter([EXAMPLES]), prompts_of)
    assert data.num_batches is None
    assert data[0] == EXAMPLES["prompts"]
    data.on_epoch_end()
    with pytest.raises(ValueError, match="ran out.*list_iterator"):
        data[1]


def test_what_is_wrapped_in_what():
    made = preprocessed(EXAMPLES, prompts_of, batch_size=2)
    assert isinstance(made, RawExamples) and made.batch_size == 2
    # Keras' `fit` hands its validation data to `evaluate`.
    assert preprocessed(made, prompts_of) is made
    loader = preprocessed((e for e in [EXAMPLES]), prompts_of)
    assert isinstance(loader, PreprocessedLoader)

    class Batches(keras.utils.PyDataset):
        ended = 0

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return EXAMPLES

        def on_epoch_end(self):
            self.ended += 1

    batches = Batches(workers=2)
    made = preprocessed(batches, prompts_of)
    assert isinstance(made, PreprocessedBatches) and made.workers == 2
    assert epoch(made) == [EXAMPLES["prompts"]] and batches.ended == 1
    arrays = np.zeros((2, 3))
    assert preprocessed(arrays, prompts_of) is arrays
