"""Prints what loading one large array adds to a process, as JSON.

Run as `python -m tests.checkpoints.measure_loading FILE [--import-only]`. A
process of its own is needed, since a peak of memory is never forgotten.
"""

import json
import resource
import sys

import keras

from keras_paligemma.checkpoints.assign import assign_arrays
from keras_paligemma.checkpoints.lazy_zeros import LazyZeros
from keras_paligemma.checkpoints.safetensors_reader import read_safetensors


def main(path, import_only):
    arrays = read_safetensors(path)
    if import_only:
        arrays = {"small": arrays["small"]}
    variables = {
        key: keras.Variable(LazyZeros(), shape=array.shape, dtype="bfloat16")
        for key, array in arrays.items()
    }
    assign_arrays(variables, arrays)
    sums = {}
    for key, variable in variables.items():
        rows = keras.ops.cast(variable.value[-4:], "float32")
        sums[key] = float(keras.ops.sum(rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "sums": sums}))


if __name__ == "__main__":
    main(sys.argv[1], "--import-only" in sys.argv)
