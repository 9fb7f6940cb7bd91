"""The training loss: cross-entropy of suffix and EOS, fair to each example."""

import keras
from keras import ops

from keras_paligemma.layers.replicas import share_of_loss

REDUCTIONS = ("example_mean", "token_mean", "none")


def token_losses(token_ids, logits, label_smoothing=0.0):
    """Cross-entropy of each token.

    Args:
        token_ids: int tensor `[batch, length]`. The right tokens.
        logits: float tensor `[batch, length, vocabulary]`.
        label_smoothing: float `s` in `[0, 1)`: the right token gets `1 - s`,
            each other one `s / (vocabulary - 1)`, as in big_vision.

    Returns:
        float32 tensor `[batch, length]`.
    """
    logits = ops.cast(logits, "float32")
    log_sum = ops.logsumexp(logits, axis=-1)
    right = ops.take_along_axis(
        logits, ops.cast(token_ids, "int32")[..., None], axis=-1
    )[..., 0]
    if not label_smoothing:
        return log_sum - right
    others = logits.shape[-1] - 1
    share = label_smoothing / others
    # sum over all targets of target * logit, and the targets sum to one.
    mixed = (1.0 - label_smoothing - share) * right
    mixed = mixed + share * ops.sum(logits, axis=-1)
    return log_sum - mixed


def reduce_token_losses(losses, weights, reduction="example_mean"):
    """Averages token losses.

    Args:
        losses: float tensor `[batch, length]`.
        weights: float tensor `[batch, length]`. 1 for suffix and EOS.
        reduction: `"example_mean"`: each example's weighted mean, then the
            mean over the batch (big_vision). `"token_mean"`: the weighted
            mean over all tokens (Transformers). `"none"`: weighted losses.

    Returns:
        A scalar, or `[batch, length]` for `"none"`.

    Example: a short and a long answer count the same.
    ```python
    losses = [[4.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    weights = [[1, 0, 0], [1, 1, 1]]
    reduce_token_losses(losses, weights)  # (4 + 1) / 2 = 2.5
    reduce_token_losses(losses, weights, "token_mean")  # 7 / 4 = 1.75
    ```
    """
    weights = ops.cast(weights, "float32")
    weighted = ops.cast(losses, "float32") * weights
    if reduction == "none":
        return weighted
    if reduction == "token_mean":
        return ops.sum(weighted) / ops.maximum(ops.sum(weights), 1e-6)
    counts = ops.maximum(ops.sum(weights, axis=-1), 1e-6)
    return ops.mean(ops.sum(weighted, axis=-1) / counts)


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ResponseCrossentropy(keras.losses.Loss):
    """Cross-entropy of the response; the loss of `PaliGemmaCausalLM`.

    `sample_weight` `[batch, length]` marks suffix and EOS, as the
    preprocessor makes it. Keras' own reduction divides by every position,
    padding included, so that the loss depends on how far a batch is padded;
    this one does not.

    Args:
        label_smoothing: float. See `token_losses`.
        reduction: string. See `reduce_token_losses`.
        name: string. The loss's name.

    Example:
    ```python
    model.compile(loss=ResponseCrossentropy(label_smoothing=0.1))
    ```
    """

    def __init__(
        self,
        label_smoothing=0.0,
        reduction="example_mean",
        name="response_crossentropy",
        **kwargs,
    ):
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"`reduction` must be one of {REDUCTIONS}. "
                f"Received: reduction={reduction!r}"
            )
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                "`label_smoothing` must be at least 0 and below 1. "
                f"Received: label_smoothing={label_smoothing}"
            )
        super().__init__(name=name, reduction=None, **kwargs)
        self.label_smoothing = label_smoothing
        self.response_reduction = reduction

    def call(self, y_true, y_pred):
        return token_losses(y_true, y_pred, self.label_smoothing)

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.call(y_true, y_pred)
        if sample_weight is None:
            sample_weight = ops.ones_like(losses)
        loss = reduce_token_losses(
            losses, sample_weight, self.response_reduction
        )
        return (
            loss if self.response_reduction == "none" else share_of_loss(loss)
        )

    def get_config(self):
        return {
            "name": self.name,
            "label_smoothing": self.label_smoothing,
            "reduction": self.response_reduction,
        }
