"""The one place where preprocessing meets `tf.data`.

Preprocessing is Python and NumPy. A `tf.data` map traces it with symbolic
tensors; `call_in_tf_data` then puts the same Python function into the graph
and says which shapes come out of it. TensorFlow is not imported: where there
are symbolic tensors, it has been.
"""

import sys

import keras


def is_symbolic(values):
    """Whether some of the nested values are symbolic TensorFlow tensors."""
    tf = sys.modules.get("tensorflow")
    if tf is None or tf.executing_eagerly():
        return False
    return any(
        tf.is_symbolic_tensor(leaf) for leaf in keras.tree.flatten(values)
    )


def call_in_tf_data(function, inputs, outputs):
    """Calls a Python function on symbolic tensors.

    Args:
        function: callable. Takes a dict of NumPy values, returns a dict of
            NumPy arrays with the keys of `outputs`.
        inputs: dict of str to tensor.
        outputs: dict of str to a pair of shape and dtype. `None` stands for
            a length that is not known yet.

    Returns:
        A dict of str to symbolic tensor.
    """
    tf = sys.modules["tensorflow"]
    names = list(inputs)

    def call_on_arrays(*values):
        results = function(dict(zip(names, values, strict=True)))
        return [results[name] for name in outputs]

    dtypes = [tf.as_dtype(dtype) for _, dtype in outputs.values()]
    tensors = tf.numpy_function(call_on_arrays, list(inputs.values()), dtypes)
    for tensor, (shape, _) in zip(tensors, outputs.values(), strict=True):
        tensor.set_shape(shape)
    return dict(zip(outputs, tensors, strict=True))


def as_float32(values):
    """Casts a NumPy array or a symbolic tensor to float32."""
    if is_symbolic(values):
        return sys.modules["tensorflow"].cast(values, "float32")
    return values.astype("float32")


def static_shape(tensor, name):
    """Returns the shape of a symbolic tensor, as a tuple with `None`s."""
    if tensor.shape.rank is None:
        raise ValueError(
            f"The number of dimensions of {name} must be known in a `tf.data` "
            f"map. Received: {name}={tensor}. Call `{name}.set_shape()` or "
            "`tf.ensure_shape()` on it first."
        )
    return tuple(tensor.shape.as_list())


def is_text(tensor):
    """Whether a symbolic tensor holds strings."""
    return tensor.dtype == sys.modules["tensorflow"].string


def image_shapes(images, batch_shape, image_size):
    """Finds the shapes of the model's images from symbolic ones.

    Args:
        images: tensor. Images `[..., height, width, channels]`, or the paths
            of images, with one axis more than the batch if they are several
            for each example.
        batch_shape: tuple of int. `()`, or the batch size.
        image_size: tuple of int, or `None` if images keep their size.

    Returns:
        A pair: the shape of `images` and that of `image_mask`, or `None`
        instead if there is exactly one image for each example.
    """
    shape = static_shape(images, "images")
    if is_text(images):
        leading, pixels = shape, (None, None)
    else:
        # A grey image [height, width] may come alone, but not in a batch.
        start = max(len(shape) - 3, 0)
        leading, pixels = shape[:start], shape[start : start + 2]
    if image_size is not None:
        pixels = image_size
    counts = leading[len(batch_shape) :]
    if not counts or counts == (1,):
        return (*batch_shape, *pixels, 3), None
    mask_shape = (*batch_shape, *counts)
    return (*mask_shape, *pixels, 3), mask_shape
