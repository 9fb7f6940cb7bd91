"""Calls a layer inside a layer without Keras' bookkeeping."""


def direct_call(layer, *args, **kwargs):
    """Calls `layer`, straight to its computation where that is the same.

    Keras converts arguments, looks for masks, checks shapes and opens scopes
    at each call, which costs PyTorch more than a small product does. It is
    needed where it changes something: for quantized layers, and where
    variables are cast to another compute dtype.

    Args:
        layer: `keras.Layer`, built.
        *args: Tensors and other arguments of `layer.call`.
        **kwargs: Further arguments of `layer.call`.
    """
    plain = (
        layer.quantization_mode is None
        and layer.compute_dtype == layer.variable_dtype
    )
    return (layer.call if plain else layer)(*args, **kwargs)
