"""`fit` and `evaluate` without the logits of all tokens."""

from keras import ops

from keras_paligemma.layers import ResponseCrossentropy
from keras_paligemma.layers.chunked_crossentropy import chunked_token_losses
from keras_paligemma.layers.replicas import share_of_loss
from keras_paligemma.layers.response_crossentropy import reduce_token_losses

# Beside the model's inputs: the right tokens, and which are in the loss.
TARGETS = "target_token_ids"
TARGET_MASK = "target_mask"


class ChunkedTraining:
    """Mixin whose training step asks the model for token losses.

    The right tokens travel with the inputs, so that the model's call can
    score hidden states a chunk at a time. It does so where nothing needs the
    logits: with `ResponseCrossentropy` and `ResponseAccuracy` alone, the
    defaults of `compile`. `predict` and a call give logits as ever.
    """

    def train_step(self, *arguments):
        *state, data = arguments
        return super().train_step(*state, self._with_targets(data))

    def test_step(self, *arguments):
        *state, data = arguments
        return super().test_step(*state, self._with_targets(data))

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if not isinstance(x, dict) or TARGETS not in x:
            return super().compute_loss(
                x, y, y_pred, sample_weight, training=training
            )
        if sample_weight is None:
            sample_weight = ops.ones(ops.shape(y))
        loss = reduce_token_losses(
            y_pred[..., 0], sample_weight, self.loss.response_reduction
        )
        return sum(self.losses, share_of_loss(loss))

    def token_results(self, inputs, targets, mask, training=None):
        """Loss and rightness of each token; see `chunked_token_losses`."""
        embedding = self.backbone.token_embedding
        hidden = self.backbone(inputs, training=training)
        return chunked_token_losses(
            ops.cast(hidden, embedding.compute_dtype),
            embedding.table(),
            targets,
            mask,
            self.loss.label_smoothing,
            embedding.logit_soft_cap,
            train_embeddings=any(w.trainable for w in embedding.weights),
        )

    def _with_targets(self, data):
        if not isinstance(data, tuple) or len(data) < 2 or data[1] is None:
            return data
        x, y, *weights = data
        if not isinstance(x, dict) or not self._scores_in_chunks():
            return data
        mask = ops.ones_like(y, dtype="bool")
        if weights and weights[0] is not None:
            mask = ops.not_equal(weights[0], 0)
        # Eager JAX hands over NumPy arrays, which Keras will not mix.
        x = {
            key: ops.convert_to_tensor(value)
            for key, value in {**x, TARGETS: y, TARGET_MASK: mask}.items()
        }
        return x, y, *weights

    def _scores_in_chunks(self):
        return (
            type(self.loss) is ResponseCrossentropy
            and self.loss.response_reduction != "none"
            and self._metrics_need_no_logits
        )
