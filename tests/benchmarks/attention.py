"""Times the forms of attention that PyTorch may take on a CPU.

    KERAS_BACKEND=torch python -m tests.benchmarks.attention

Milliseconds forwards and backwards in bfloat16, 4,096 queries in all: PyTorch's
fused form, the plain form in `keras.ops`, and products of matrices, which
`layers/attention.py` takes for up to `FEW_KEYS` keys.
"""

import time

from tests.benchmarks.measure import format_table

# Keys, query heads, key heads, size of a head.
SHAPES = ((64, 6, 6, 32), (256, 6, 6, 32), (320, 6, 1, 32), (1024, 16, 16, 72))
QUERIES = 4096


def milliseconds(form, inputs, scale, repeats=5):
    """The best time of a few calls, forwards and backwards."""
    best = float("inf")
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        form(*inputs, None, scale).sum().backward()
        best = min(best, time.perf_counter() - begin)
    return 1e3 * best


def main():
    import torch

    from keras_paligemma.layers import attention

    forms = (
        attention._torch_attend,
        attention.plain_attend,
        attention._torch_products,
    )
    rows = []
    for keys, query_heads, key_heads, size in SHAPES:
        batch = QUERIES // keys
        inputs = [
            torch.randn(
                (batch, keys, heads, size),
                dtype=torch.bfloat16,
                requires_grad=True,
            )
            for heads in (query_heads, key_heads, key_heads)
        ]
        times = [milliseconds(form, inputs, size**-0.5) for form in forms]
        rows.append(
            [f"{keys} keys, {query_heads}/{key_heads} heads of {size}"]
            + [f"{t:.1f}" for t in times]
            + [f"{times[0] / times[2]:.1f}"]
        )
    header = ["", "fused ms", "plain ms", "products ms", "fused / products"]
    print(format_table(header, rows))


if __name__ == "__main__":
    main()
