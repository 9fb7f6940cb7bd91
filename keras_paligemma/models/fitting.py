"""`fit`, `evaluate` and `predict` on raw examples of any kind."""

import warnings

import keras
import numpy as np

from keras_paligemma.models.training_data import RawExamples
from keras_paligemma.models.training_data import WithTokensInTheLoss
from keras_paligemma.models.training_data import count_examples
from keras_paligemma.models.training_data import is_raw
from keras_paligemma.models.training_data import preprocessed


class RawFitting:
    """Mixin that feeds `keras.Model` with preprocessed batches.

    Keras-Hub turns raw examples into arrays of one shape first, which
    paths, `PIL.Image`s and images of different sizes are not. Here each
    batch goes through the preprocessor as it is. A `tf.data` or grain
    dataset keeps Keras-Hub's way; without a preprocessor everything goes to
    Keras untouched.
    """

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        validation_split=None,
        shuffle=True,
        **kwargs,
    ):
        """Trains; see `keras.Model.fit`.

        Args:
            x: dict of lists `images`, `prompts`, `responses`; or a
                `tf.data.Dataset`, grain dataset, `keras.utils.PyDataset`, or
                iterable of batches of such dicts. Without a preprocessor,
                whatever `keras.Model.fit` takes. A `PyDataset` whose
                attribute `in_order` is true is not shuffled, and one whose
                `preprocessed` is true gives batches of model inputs.
            y, batch_size, sample_weight, validation_data, validation_split,
                shuffle, **kwargs: As `keras.Model.fit`.

        Raises:
            ValueError: If raw examples make a batch with no token in the
                loss, or `sample_weight` leaves none in any. A single batch
                of arrays without one has a loss of zero.
        """
        if isinstance(sample_weight, np.ndarray) and not sample_weight.any():
            raise ValueError(
                "`sample_weight` marks the tokens in the loss, and there must "
                "be some. Received: sample_weight of shape "
                f"{sample_weight.shape} with only zeros"
            )
        cuts_before = self._cuts()
        if getattr(x, "in_order", False):
            # Else Keras would shuffle the batches of each epoch.
            shuffle = False
        if validation_split and self.preprocessor is not None and is_raw(x):
            x, validation_data = self._split(
                x, validation_split, batch_size, shuffle
            )
        else:
            x = self._source(x, batch_size, shuffle, training=True)
            kwargs["validation_split"] = validation_split or 0.0
        if validation_data is not None:
            validation_data = self._source(validation_data, batch_size)
        history = self._run(
            "fit",
            x,
            y=y,
            sample_weight=sample_weight,
            batch_size=batch_size,
            validation_data=validation_data,
            shuffle=shuffle,
            **kwargs,
        )
        self._report_cuts(cuts_before)
        return history

    def evaluate(self, x=None, y=None, batch_size=None, **kwargs):
        """Evaluates; `x` as in `fit`, the rest as `keras.Model.evaluate`."""
        x = self._source(x, batch_size)
        return self._run("evaluate", x, y=y, batch_size=batch_size, **kwargs)

    def predict(self, x, batch_size=None, **kwargs):
        """Logits; `x` as in `fit`, the rest as `keras.Model.predict`."""
        x = self._source(x, batch_size)
        return self._run("predict", x, batch_size=batch_size, **kwargs)

    def _run(self, method, x, **kwargs):
        if isinstance(x, keras.utils.PyDataset):
            kwargs["batch_size"] = None
        elif self.preprocessor is not None:
            return getattr(super(), method)(x, **kwargs)
        return getattr(keras.Model, method)(self, x, **kwargs)

    def _source(self, x, batch_size, shuffle=False, training=False):
        if self.preprocessor is None:
            return x
        if isinstance(x, tuple) and len(x) == 1:
            x = x[0]
        preprocessor = self.preprocessor
        if training:
            preprocessor = WithTokensInTheLoss(preprocessor)
        return preprocessed(x, preprocessor, batch_size, shuffle)

    def _cuts(self):
        """How many prompts and responses were cut so far."""
        cuts = getattr(self.preprocessor, "truncations", None)
        return (0, 0) if cuts is None else (cuts.prompts, cuts.responses)

    def _report_cuts(self, before):
        prompts, responses = np.subtract(self._cuts(), before).tolist()
        if prompts or responses:
            warnings.warn(
                f"`fit` read {prompts} prompts and {responses} responses that "
                "were longer than sequence_length="
                f"{self.preprocessor.sequence_length} has room for, counted "
                "in each epoch. They were cut; SEP and EOS were kept.",
                stacklevel=3,
            )

    def _split(self, x, validation_split, batch_size, shuffle):
        count = count_examples(x)
        first = int(count * (1.0 - validation_split))
        if not 0 < first < count:
            raise ValueError(
                "`validation_split` must leave examples on both sides. "
                f"Received: validation_split={validation_split}, "
                f"{count} examples"
            )

        def examples(indices, preprocessor, shuffle):
            return RawExamples(
                x, preprocessor, batch_size or 32, shuffle, indices
            )

        trained = WithTokensInTheLoss(self.preprocessor)
        return (
            examples(np.arange(first), trained, shuffle),
            examples(np.arange(first, count), self.preprocessor, False),
        )
