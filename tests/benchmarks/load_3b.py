"""Loads PaliGemma 3B in bfloat16 from a sharded checkpoint and generates.

    python -m tests.benchmarks.load_3b --backends jax torch

Random weights of the published shape are written once as a sharded
Transformers checkpoint (5.9 GB, in a temporary directory or `--directory`).
Each backend then loads and generates in a fresh process; the table shows
seconds, and peak resident memory beside the checkpoint's size.
"""

import argparse
import json
import os
import tempfile
import time

from tests.benchmarks.measure import format_table
from tests.benchmarks.measure import peak_memory
from tests.benchmarks.measure import run_fresh


def write_checkpoint(directory):
    """Writes random bfloat16 weights as `export_to_transformers` would."""
    import ml_dtypes
    import numpy as np

    from keras_paligemma.checkpoints import LazyArray
    from keras_paligemma.checkpoints import canonical_shapes
    from keras_paligemma.checkpoints import published_arguments
    from keras_paligemma.checkpoints.export import write_transformers

    arguments = published_arguments("pali_gemma_3b_224")
    block = np.random.default_rng(0).normal(0, 0.02, 1 << 22)
    block = block.astype(ml_dtypes.bfloat16)

    def random_array(path, shape):
        def load(start, stop):
            return np.resize(block, (stop - start, *shape[1:]))

        return LazyArray(shape, block.dtype, path, load)

    arrays = {
        path: random_array(path, shape)
        for path, shape in canonical_shapes(arguments).items()
    }
    write_transformers(directory, arguments, arrays, max_shard_size="2GB")


def measure(directory, new_tokens):
    """Loads and generates in this process; prints one line of JSON."""
    import numpy as np

    from keras_paligemma import PaliGemmaCausalLM

    before = peak_memory()
    begin = time.perf_counter()
    model = PaliGemmaCausalLM.from_preset(
        directory, dtype="bfloat16", preprocessor=None
    )
    loaded, peak_loading = time.perf_counter() - begin, peak_memory()
    prompt = 8
    mask = np.arange(prompt + new_tokens)[None] < prompt
    inputs = {
        "images": np.zeros((1, 224, 224, 3), "float32"),
        "token_ids": np.where(mask, 100, 0).astype("int32"),
        "padding_mask": mask.astype("int32"),
    }
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        model.generate(dict(inputs), stop_token_ids=None)
        seconds.append(time.perf_counter() - begin)
    result = {
        "imports": before,
        "load": loaded,
        "peak_loading": peak_loading,
        "first": seconds[0],
        "second": seconds[1],
        "peak": peak_memory(),
    }
    print(json.dumps(result))


def directory_size(directory):
    return sum(entry.stat().st_size for entry in os.scandir(directory))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backends", nargs="+", default=["jax", "torch"])
    parser.add_argument("--new-tokens", type=int, default=8)
    parser.add_argument("--directory")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args(arguments)
    if options.measure:
        measure(options.directory, options.new_tokens)
        return
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or os.path.join(temporary, "3b")
        if not os.path.exists(directory):
            write_checkpoint(directory)
        size = directory_size(directory)
        rows = []
        for backend in options.backends:
            found = run_fresh(
                "tests.benchmarks.load_3b",
                ["--measure", "--directory", directory]
                + ["--new-tokens", str(options.new_tokens)],
                backend,
            )
            if "error" in found:
                rows.append([backend, found["error"], *[""] * 5])
                continue
            rows.append(
                [
                    backend,
                    f"{found['load']:.1f} s",
                    f"{found['peak_loading'] / 1e9:.1f} GB",
                    f"{found['peak_loading'] / size:.2f}",
                    f"{found['first']:.1f} s",
                    f"{found['second']:.1f} s",
                    f"{found['peak'] / 1e9:.1f} GB",
                ]
            )
        header = ["backend", "load", "peak loading", "of checkpoint"]
        header += ["first generate", "second", "peak"]
        print(f"checkpoint: {size / 1e9:.2f} GB")
        print(format_table(header, rows))


if __name__ == "__main__":
    main()
