"""How likely the model finds given answers."""

import numpy as np
from keras import ops

from keras_paligemma.layers.response_crossentropy import token_losses
from keras_paligemma.models.generation.compiled import compiled
from keras_paligemma.models.inputs import KEYS
from keras_paligemma.models.inputs import complete_inputs

SCORING_MODES = ("log_probs", "total", "logits")


class Scoring:
    """Mixin that scores answers in one pass, without decoding."""

    def score(self, inputs, scoring_mode="log_probs", max_length=None):
        """Scores the responses of raw inputs, EOS included.

        Args:
            inputs: dict of `images`, `prompts` and `responses`, lists of one
                length. Without a preprocessor: what the preprocessor would
                return, a tuple of model inputs, targets and weights.
            scoring_mode: `"log_probs"`: a float array for each row, the
                log-probability of each response token and EOS. `"total"`:
                their sum, an array `[batch]`. `"logits"`: float32 logits
                `[batch, length, vocabulary]`.
            max_length: int. Text tokens; by default the preprocessor's
                `sequence_length`.

        Returns:
            As `scoring_mode` says.

        Example:
        ```python
        model.score(
            {
                "images": ["cow.jpg", "cow.jpg"],
                "prompts": ["caption en", "caption en"],
                "responses": ["a cow", "a boat"],
            },
            "total",
        )  # array([-3.1, -14.8])
        ```
        """
        if scoring_mode not in SCORING_MODES:
            raise ValueError(
                f"`scoring_mode` must be one of {SCORING_MODES}. "
                f"Received: scoring_mode={scoring_mode!r}"
            )
        if self.preprocessor is not None:
            inputs = self.preprocessor(inputs, sequence_length=max_length)
        x, targets, weights = inputs
        x = {k: ops.convert_to_tensor(x[k]) for k in KEYS if k in x}
        x = complete_inputs(x, self.backbone.image_size)
        if scoring_mode == "logits":
            return ops.convert_to_numpy(self._function("logits")(x))
        rows = self._score_tensors(
            x, targets, ops.convert_to_numpy(weights) > 0
        )
        if scoring_mode == "total":
            return np.array([row.sum() for row in rows], "float32")
        return rows

    def score_answers(self, batch, answers):
        """Log-probabilities of answers that were decoded for a batch.

        Args:
            batch: `PromptBatch`.
            answers: list of int arrays, one a row.

        Returns:
            List of float arrays of the answers' lengths.
        """
        lengths = np.array([len(prompt) for prompt in batch.prompts])
        whole = batch.assemble(answers)
        columns = np.arange(batch.max_length)
        response = (columns >= lengths[:, None]).astype("int32")
        width = batch.token_ids.shape[1]
        for row, length in enumerate(lengths):
            # A forced start of the answer is causal too.
            start = batch.response_mask[row, width - length :]
            response[row, :length] = start
        x = {
            "images": batch.images,
            "image_mask": batch.image_mask,
            "token_ids": whole["token_ids"][:, :-1],
            "padding_mask": whole["padding_mask"][:, :-1].astype("int32"),
            "response_mask": response[:, :-1],
        }
        new = (columns >= lengths[:, None]) & whole["padding_mask"]
        return self._score_tensors(x, whole["token_ids"][:, 1:], new[:, 1:])

    def _score_tensors(self, x, targets, marked):
        x = {key: ops.convert_to_tensor(value) for key, value in x.items()}
        targets = ops.convert_to_tensor(targets, "int32")
        scores = ops.convert_to_numpy(self._function("log_probs")(x, targets))
        return [s[m] for s, m in zip(scores, marked, strict=True)]

    def _function(self, name):
        functions = self.__dict__.setdefault("_scoring_functions", {})
        if name not in functions:
            functions[name] = compiled(
                getattr(self, f"_{name}"),
                variables=lambda: self.backbone.variables,
                jit_compile=self.decoding_jit_compile,
            )
        return functions[name]

    def _logits(self, x):
        return self.backbone.token_embedding(self.backbone(x), reverse=True)

    def _log_probs(self, x, targets):
        return -token_losses(targets, self._logits(x))
