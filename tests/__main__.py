"""Runs the test suite once for each backend: `python -m tests`.

Words that are not options of this script go to pytest, so that
`python -m tests --backends torch -k tokenizer` is one part on one backend. The
backends take turns, because two workers of one backend already fill the two
cores of a small machine.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

BACKENDS = ("jax", "tensorflow", "torch")


def run_backend(backend, workers, pytest_arguments):
    """Runs pytest in a process of its own; returns its exit code."""
    environment = dict(os.environ)
    environment["KERAS_BACKEND"] = backend
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command = [sys.executable, "-m", "pytest", "-q"]
    if workers > 1:
        command += ["-n", str(workers), "--dist", "worksteal"]
    return subprocess.run(
        [*command, *pytest_arguments],
        env=environment,
        cwd=Path(__file__).resolve().parents[1],
    ).returncode


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests")
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=BACKENDS
    )
    parser.add_argument("--workers", type=int, default=2)
    options, pytest_arguments = parser.parse_known_args(arguments)

    outcomes = {}
    for backend in options.backends:
        print(f"== {backend}", flush=True)
        begin = time.monotonic()
        code = run_backend(backend, options.workers, pytest_arguments)
        outcomes[backend] = code
        print(
            f"== {backend}: {'passed' if code == 0 else f'exit code {code}'} "
            f"in {time.monotonic() - begin:.0f} s",
            flush=True,
        )
    return int(any(outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
