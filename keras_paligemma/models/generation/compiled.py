"""Compiles a function that reads a model's variables, on each backend."""

import functools

import keras


def no_variables():
    """Stands for the states of a function that writes none."""
    return []


def compiled(
    function,
    variables,
    states=no_variables,
    donate=(),
    static=(),
    jit_compile=True,
):
    """Returns `function` compiled for the backend in use.

    JAX: `jax.jit`, with the variables passed in, never baked in as
    constants. TensorFlow: `tf.function`. PyTorch: eager, without gradients.

    Args:
        function: callable of positional arguments, nested tensors or, where
            `static` says so, hashable Python values.
        variables: callable that returns the list of `keras.Variable`s that
            `function` reads.
        states: callable that returns those that it also writes: seeds.
        donate: tuple of int. Arguments whose memory JAX may reuse.
        static: tuple of int. Arguments that are Python values.
        jit_compile: bool. Whether TensorFlow compiles with XLA.
    """
    backend = keras.config.backend()
    if backend == "jax":
        return _jax_compiled(function, variables, states, donate, static)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=jit_compile)
    if backend == "torch":
        import torch

        return torch.no_grad()(function)
    return function


# XLA would keep float32 copies of all bfloat16 kernels through a loop.
KEEP_KERNELS = {
    "xla_disable_hlo_passes": "while-loop-invariant-code-motion,"
    "while-loop-expensive-invariant-code-motion"
}


def _jax_compiled(function, variables, states, donate, static):
    import jax

    @functools.partial(
        jax.jit,
        donate_argnums=tuple(i + 2 for i in donate),
        static_argnums=tuple(i + 2 for i in static),
        compiler_options=(
            KEEP_KERNELS if jax.default_backend() == "cpu" else None
        ),
    )
    def pure(values, state_values, *args):
        written = states()
        mapping = [
            *zip(variables(), values, strict=True),
            *zip(written, state_values, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = function(*args)
        return outputs, [scope.get_current_value(v) for v in written]

    @functools.wraps(function)
    def call(*args):
        written = states()
        outputs, new_values = pure(
            [v.value for v in variables()], [v.value for v in written], *args
        )
        for variable, value in zip(written, new_values, strict=True):
            variable.assign(value)
        return outputs

    return call
