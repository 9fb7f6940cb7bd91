"""What the loss must know of the devices that share a batch."""

import keras
from keras import ops


def data_shards(batch_size):
    """How many equal parts of a batch lie on different devices, on JAX.

    Args:
        batch_size: int. Examples of the whole batch.

    Returns:
        An int: the size of the axis of `keras.distribution` that splits
        batches; 1 without one, or where it does not divide the batch.
    """
    distribution = keras.distribution.distribution()
    if keras.config.backend() != "jax" or distribution is None:
        return 1
    shards = distribution.num_model_replicas
    return 1 if batch_size % shards else shards


def share_of_loss(loss):
    """A replica's share of the mean loss, under `tf.distribute`.

    Gradients are added up over replicas there, so each mean is divided by
    their number, as Keras' own losses are; Keras undoes it for its logs.

    Args:
        loss: scalar. The mean over the examples of this replica.

    Returns:
        A scalar; `loss` itself on other backends.
    """
    if keras.config.backend() != "tensorflow":
        return loss
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return loss if replicas == 1 else loss * ops.cast(1 / replicas, loss.dtype)
