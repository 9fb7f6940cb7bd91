"""Times each form of a product with a weight matrix.

    KERAS_BACKEND=jax python -m tests.benchmarks.linear

Prints milliseconds for the vocabulary's matrix of the `small` shape and for a
feed-forward kernel, by dtype and number of rows: the plain form
`matmul(x, transpose(kernel))`, and the form that `layers/linear.py` chose.
"""

import time

import keras
import numpy as np
from keras import ops

from keras_paligemma.layers.linear import linear
from keras_paligemma.layers.linear import plain_product
from keras_paligemma.layers.linear import vocabulary_logits
from keras_paligemma.models.generation.compiled import compiled
from tests.benchmarks.measure import format_table

KERNELS = {
    "vocabulary": ((257152, 512), vocabulary_logits),
    "gate": ((16384, 2048), linear),
    "down": ((2048, 16384), linear),
}
ROWS = (1, 2, 4, 16, 264)


def milliseconds(function, *args, repeats=5):
    """The best time of a few calls, results fetched."""
    best = float("inf")
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        ops.convert_to_numpy(function(*args))
        best = min(best, time.perf_counter() - begin)
    return 1e3 * best


def main():
    rng = np.random.default_rng(0)
    rows = []
    for dtype in ("float32", "bfloat16"):
        for name, (shape, chosen) in KERNELS.items():
            values = rng.standard_normal(shape, "float32")
            kernel = ops.convert_to_tensor(values, dtype)
            for count in ROWS:
                if name == "vocabulary" and count > 16:
                    continue
                x = rng.standard_normal((count, 1, shape[1]), "float32")
                x = ops.convert_to_tensor(x, dtype)
                times = [
                    milliseconds(compiled(form, lambda: []), x, kernel)
                    for form in (plain_product, chosen)
                ]
                rows.append(
                    [dtype, name, str(count)]
                    + [f"{t:.1f}" for t in times]
                    + [f"{times[0] / times[1]:.1f}"]
                )
    print(keras.config.backend())
    header = ["dtype", "kernel", "rows", "plain ms", "chosen ms", "ratio"]
    print(format_table(header, rows))


if __name__ == "__main__":
    main()
