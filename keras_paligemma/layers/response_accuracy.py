"""The share of right tokens in the response."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ResponseAccuracy(keras.metrics.Mean):
    """How many tokens the model would have chosen; the default metric.

    Reads logits `[batch, length, vocabulary]`, as every metric does, or,
    while training and evaluating, what `chunked_token_losses` returns: it
    needs no logits of all tokens then.

    Args:
        name: string. Keras-Hub's name of it, by default.
        dtype: dtype of the sums.

    Example:
    ```python
    metric = ResponseAccuracy()
    logits = [[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    metric.update_state(ops.array([[1, 1]]), ops.array(logits))
    metric.result()  # 0.5
    ```
    """

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        if y_pred.shape[-1] == 2:
            right = y_pred[..., 1]
        else:
            likeliest = ops.argmax(y_pred, axis=-1)
            right = ops.equal(
                ops.cast(likeliest, "int32"), ops.cast(y_true, "int32")
            )
        super().update_state(ops.cast(right, "float32"), sample_weight)
