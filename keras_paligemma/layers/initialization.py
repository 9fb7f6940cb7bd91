"""Which initial values a model's variables get while it is built."""

import contextlib
import contextvars

import keras

_override = contextvars.ContextVar("initializer_override", default=None)


@contextlib.contextmanager
def initialize_with(initializer):
    """Within this context every variable of a new layer uses `initializer`.

    Random numbers for billions of weights take minutes and memory, and are
    wasted when a checkpoint overwrites each of them.

    Args:
        initializer: `keras.initializers.Initializer`. What to use instead of
            the layers' own initializers.

    Example:
    ```python
    with initialize_with(keras.initializers.Zeros()):
        backbone = PaliGemmaBackbone(**arguments)
    ```
    """
    token = _override.set(initializer)
    try:
        yield
    finally:
        _override.reset(token)


def initializer_or(default):
    """Returns the initializer to use now: the context's, or `default`.

    Args:
        default: string or `keras.initializers.Initializer`. The layer's own
            choice.
    """
    override = _override.get()
    return keras.initializers.get(default) if override is None else override
