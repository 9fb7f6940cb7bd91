"""TensorFlow's own path: gradients as an optimizer needs them."""

import keras


def prepared_gradients(gradients, over_replicas):
    """Gradients that are dense and, if asked for, those of all replicas.

    Gradients of looked-up rows are sparse in TensorFlow, with repeated rows,
    whose norm would be wrong. And under `tf.distribute` Keras clips the
    gradients of each replica before it adds them up, which is not what
    clipping all of them does: so they are added up here before, and divided
    by their number for the sum that Keras still makes.

    Args:
        gradients: list of tensors or `None`.
        over_replicas: bool. Whether to add up over replicas.

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
    count = replica.num_replicas_in_sync
    return [
        None if gradient is None else next(sums) / count
        for gradient in gradients
    ]
