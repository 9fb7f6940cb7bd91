"""Prints what loading a file adds to a process' memory at its peak, as JSON.

Run as `python -m tests.checkpoints.measure_loading FILE`, on Linux, in a
process of its own: other tests leave memory behind that would be used again.
"""

import json
import sys

import keras

from keras_paligemma.checkpoints.assign import assign_arrays
from keras_paligemma.checkpoints.lazy_zeros import LazyZeros
from keras_paligemma.checkpoints.safetensors_reader import read_safetensors


def resident_bytes(name):
    """`"VmRSS"`, what is in memory now, or `"VmHWM"`, the peak."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {name}")


def load(arrays):
    """Loads all arrays into variables, and sums the last rows of each."""
    variables = {
        key: keras.Variable(LazyZeros(), shape=array.shape, dtype="bfloat16")
        for key, array in arrays.items()
    }
    assign_arrays(variables, arrays)
    sums = {}
    for key, variable in variables.items():
        rows = keras.ops.cast(variable.value[-4:], "float32")
        sums[key] = float(keras.ops.sum(rows))
    return sums


def main(path):
    """Loads the small array to wake the backend, then measures all."""
    arrays = read_safetensors(path)
    load({"small": arrays["small"]})
    before = resident_bytes("VmRSS")
    # Importing may have peaked higher than loading will: forget that peak.
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    sums = load(arrays)
    added = resident_bytes("VmHWM") - before
    print(json.dumps({"added": added, "sums": sums}))


if __name__ == "__main__":
    main(sys.argv[1])
