"""Feeds raw examples to `fit` on any backend, without `tf.data`."""

import sys

import keras
import numpy as np


class RawExamples(keras.utils.PyDataset):
    """Batches of raw examples, preprocessed as they are asked for.

    Args:
        examples: dict of lists or arrays of one length: `images`, `prompts`,
            `responses`.
        preprocessor: callable of such a dict.
        batch_size: int. Examples a batch; the last may be smaller.
        shuffle: bool. Whether each epoch has an order of its own, drawn
            from NumPy's global state (`keras.utils.set_random_seed`).
        indices: int array or `None`. Which examples; all by default.
        **kwargs: Further arguments of `keras.utils.PyDataset`.
    """

    def __init__(
        self,
        examples,
        preprocessor,
        batch_size=32,
        shuffle=False,
        indices=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.examples = examples
        self.preprocessor = preprocessor
        self.batch_size = batch_size
        self.shuffle = shuffle
        if indices is None:
            indices = np.arange(count_examples(examples))
        self.indices = np.asarray(indices)
        self._order = self.indices
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.indices) // self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        chosen = self._order[start : start + self.batch_size]
        return self.preprocessor(
            {
                key: [values[int(i)] for i in chosen]
                for key, values in self.examples.items()
            }
        )

    def on_epoch_end(self):
        if self.shuffle:
            self._order = np.random.permutation(self.indices)


class PreprocessedBatches(keras.utils.PyDataset):
    """A `PyDataset` of raw batches, preprocessed as they are asked for.

    Args:
        batches: `keras.utils.PyDataset` of dicts of raw examples.
        preprocessor: callable of such a dict.
    """

    def __init__(self, batches, preprocessor):
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self.batches = batches
        self.preprocessor = preprocessor

    def __len__(self):
        return self.batches.num_batches

    def __getitem__(self, index):
        return self.preprocessor(self.batches[index])

    def on_epoch_end(self):
        self.batches.on_epoch_end()


class PreprocessedLoader(keras.utils.PyDataset):
    """Any iterable of raw batches, preprocessed; each epoch begins anew.

    Args:
        batches: iterable of dicts of raw examples: a `torch` `DataLoader`,
            a grain `DataLoader`, a generator.
        preprocessor: callable of such a dict.
    """

    def __init__(self, batches, preprocessor):
        # One worker, so that batches come in the loader's own order.
        super().__init__(workers=1)
        self.batches = batches
        self.preprocessor = preprocessor
        self._iterator = None

    @property
    def num_batches(self):
        has_length = hasattr(self.batches, "__len__")
        return len(self.batches) if has_length else None

    def __getitem__(self, index):
        if self._iterator is None:
            self._iterator = iter(self.batches)
        try:
            return self.preprocessor(next(self._iterator))
        except StopIteration:
            raise ValueError(
                "The data ran out in the middle of an epoch. Give `fit` a "
                "loader that can be iterated again, or fewer `epochs` or "
                f"`steps_per_epoch`. Received: {type(self.batches).__name__}"
            ) from None

    def on_epoch_end(self):
        if self.num_batches is not None:
            self._iterator = None


class WithTokensInTheLoss:
    """A preprocessor that refuses a batch from which nothing is learnt.

    Args:
        preprocessor: callable of a dict of raw examples that returns inputs,
            targets and weights.
    """

    def __init__(self, preprocessor):
        self.preprocessor = preprocessor

    def __call__(self, examples):
        batch = self.preprocessor(examples)
        if isinstance(batch, tuple) and len(batch) == 3:
            if not np.any(batch[2]):
                raise ValueError(
                    "A batch has no token in the loss: every response in it "
                    "is empty, and no end token follows. Leave such examples "
                    "out, or let the preprocessor have "
                    "`add_end_token=True`. Received: a batch of "
                    f"{len(batch[2])} examples, the first with the prompt "
                    f"{examples['prompts'][0]!r}"
                )
        return batch


def count_examples(examples):
    """The number of examples in a dict of lists.

    Raises:
        ValueError: If the lists differ in length, or one value stands where
            a list should.
    """
    single = [k for k, v in examples.items() if isinstance(v, (str, bytes))]
    if single:
        raise ValueError(
            "`fit`, `evaluate` and `predict` take lists of examples; wrap a "
            f"single one in a list. Received a single value for: {single}"
        )
    counts = {key: len(values) for key, values in examples.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(
            "There must be one image (or list of images), one prompt and one "
            f"response an example. Received: {counts}"
        )
    return next(iter(counts.values()))


def preprocessed(x, preprocessor, batch_size=None, shuffle=False):
    """Wraps raw data for `keras.Model`, or returns it as it is.

    Args:
        x: dict of lists of raw examples, `keras.utils.PyDataset` or iterable
            of raw batches.
        preprocessor: callable of a dict of raw examples.
        batch_size: int or `None`. Of a dict; 32 by default.
        shuffle: bool. Whether to reorder a dict each epoch.

    Returns:
        A `keras.utils.PyDataset`; or `x`, where Keras-Hub maps the
        preprocessor itself: `tf.data` and grain datasets; and a
        `PyDataset` that says it is `preprocessed`.
    """
    if isinstance(x, (RawExamples, PreprocessedBatches, PreprocessedLoader)):
        # `fit` hands its validation data to `evaluate`.
        return x
    if is_raw(x):
        return RawExamples(x, preprocessor, batch_size or 32, shuffle)
    if isinstance(x, keras.utils.PyDataset):
        if getattr(x, "preprocessed", False):
            return x
        return PreprocessedBatches(x, preprocessor)
    if _is_mappable_dataset(x) or not hasattr(x, "__iter__"):
        return x
    if isinstance(x, (dict, tuple, list, np.ndarray)):
        return x
    return PreprocessedLoader(x, preprocessor)


def is_raw(x):
    """Whether `x` is a dict of raw examples, not of model inputs."""
    return isinstance(x, dict) and "prompts" in x


def _is_mappable_dataset(x):
    kinds = []
    if tensorflow := sys.modules.get("tensorflow"):
        kinds.append(tensorflow.data.Dataset)
    if grain := sys.modules.get("grain"):
        kinds += [grain.MapDataset, grain.IterDataset]
    return isinstance(x, tuple(kinds))
