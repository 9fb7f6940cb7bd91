"""TensorFlow's own path: gradients as an optimizer needs them."""

import keras


def prepared_gradients(gradients, over_replicas):
    """Gradients that are dense and, if asked for, those of all replicas.

    Gradients of looked-up rows are sparse in TensorFlow, with repeated rows,
    whose norm would be wrong. And under `tf.distribute` Keras clips the
    gradients of each replica before it adds them up, which is not what
    clipping their sum does: so they are added up here before.

    Args:
        gradients: list of tensors or `None`.
        over_replicas: bool. Whether to add up over replicas. Keras adds up
            once more: see `times_added_up`.

    Returns:
        List; `gradients` as they are on other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return gradients
    import tensorflow as tf

    gradients = [
        None if gradient is None else tf.convert_to_tensor(gradient)
        for gradient in gradients
    ]
    replica = tf.distribute.get_replica_context()
    if not over_replicas or replica is None or replica.num_replicas_in_sync < 2:
        return gradients
    known = [gradient for gradient in gradients if gradient is not None]
    sums = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, known))
    return [None if gradient is None else next(sums) for gradient in gradients]


def times_added_up(over_replicas):
    """What to divide gradients by that were added up already.

    Args:
        over_replicas: bool. As for `prepared_gradients`.

    Returns:
        int; 1 where Keras did not add them up a second time.
    """
    if not over_replicas or keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
