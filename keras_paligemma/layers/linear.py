"""One place for how a product with a weight matrix is written.

Kernels are stored `[out, in]`, as Transformers stores them: checkpoints map
one to one, and a decode step with one row reads the kernel front to back.
Which form of the same product is fast differs tenfold by backend, dtype and
number of rows; the figures behind each choice are printed by
`tests/benchmarks/linear.py`.
"""

import math

import keras
from keras import ops

# Up to this many rows a product reads the matrix, not the rows: memory bound.
FEW_ROWS = 16
# Up to this many columns XLA multiplies one bfloat16 row (of rank 2) without
# first making a float32 copy of the kernel.
FUSED_COLUMNS = 4096


def linear(inputs, kernel):
    """Multiplies rows with a kernel stored `[out, in]`.

    Args:
        inputs: float tensor `[..., in]`.
        kernel: float tensor `[out, in]`.

    Returns:
        Float tensor `[..., out]` in the dtype of `inputs`.
    """
    return _product(inputs, kernel, large=False)


def vocabulary_logits(hidden, embeddings, soft_cap=None):
    """Scores every token of the vocabulary, in float32.

    The only function that makes logits: training, scoring and every decoding
    step share it, so that a soft cap can never hold in one and not the other.

    Args:
        hidden: float tensor `[..., hidden_dim]`.
        embeddings: float tensor `[vocabulary, hidden_dim]`.
        soft_cap: float or `None`. `c` in `c * tanh(logits / c)` (Gemma 2:
            30).

    Returns:
        float32 tensor `[..., vocabulary]`.
    """
    logits = ops.cast(_product(hidden, embeddings, large=True), "float32")
    return soft_capped(logits, soft_cap)


def soft_capped(logits, soft_cap):
    """Returns `soft_cap * tanh(logits / soft_cap)`, or `logits` if `None`."""
    if soft_cap is None:
        return logits
    return ops.tanh(logits / soft_cap) * soft_cap


def plain_product(inputs, kernel):
    """The reference form of `linear`: what every other form must equal."""
    return ops.matmul(inputs, ops.transpose(kernel))


def _product(inputs, kernel, large):
    backend = keras.config.backend()
    if backend == "jax":
        return _jax_product(inputs, kernel, large)
    if backend == "torch":
        return _torch_product(inputs, kernel, large)
    if backend == "tensorflow":
        return _tensorflow_product(inputs, kernel)
    return plain_product(inputs, kernel)


def _jax_product(inputs, kernel, large):
    import jax

    kernel = ops.convert_to_tensor(kernel)
    contract = (((1,), (1,)), ((), ()))
    rows = inputs.reshape(-1, inputs.shape[-1])
    outputs_shape = (*inputs.shape[:-1], kernel.shape[0])
    if jax.default_backend() != "cpu" or inputs.dtype == "float16":
        product = jax.lax.dot_general(rows, kernel, contract)
    elif inputs.dtype == "float32" and 1 < len(rows) <= FEW_ROWS:
        # Kernel first. The barrier keeps XLA from turning it round again.
        product = jax.lax.dot_general(kernel, rows, contract)
        product = jax.lax.optimization_barrier(product).T
    elif len(rows) == 1 and (
        inputs.dtype == "float32" or kernel.shape[1] <= FUSED_COLUMNS
    ):
        product = rows @ kernel.T
    else:
        # Two bfloat16 rows at least, and a float32 result: every other form
        # makes a float32 copy of the kernel.
        several = rows if len(rows) > 1 else jax.numpy.tile(rows, (2, 1))
        product = jax.lax.dot_general(
            several, kernel, contract, preferred_element_type="float32"
        )[: len(rows)]
    if not large:
        product = product.astype(inputs.dtype)
    return product.reshape(outputs_shape)


def _torch_product(inputs, kernel, large):
    import torch

    kernel = ops.convert_to_tensor(kernel)
    rows = math.prod(inputs.shape[:-1])
    few = rows <= FEW_ROWS and inputs.device.type == "cpu"
    if few and large and inputs.dtype == torch.float32:
        columns = inputs.reshape(rows, -1)
        if rows == 1:
            # Two columns take the matrix-matrix code, which reads the kernel
            # with all cores; one column does not.
            columns = torch.nn.functional.pad(columns, (0, 0, 0, 1))
        product = (kernel @ columns.T).T[:rows]
        return product.reshape(*inputs.shape[:-1], kernel.shape[0])
    return torch.nn.functional.linear(inputs, kernel)


def _tensorflow_product(inputs, kernel):
    rows = math.prod(n or FEW_ROWS + 1 for n in inputs.shape[:-1])
    if inputs.dtype != "float32" or not 1 < rows <= FEW_ROWS:
        return plain_product(inputs, kernel)
    import tensorflow as tf

    columns = tf.reshape(inputs, (rows, inputs.shape[-1]))
    product = tf.matmul(kernel, columns, transpose_b=True)
    # Kernel first. No number is below this one, so that nothing changes, and
    # XLA, which sees an operation there, does not turn the product round.
    product = tf.transpose(tf.maximum(product, product.dtype.min))
    return tf.reshape(product, (*inputs.shape[:-1], kernel.shape[0]))
