"""Runs the scripts of this folder, each in a Python of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def start(*arguments):
    """Starts `python -m arguments` in the root of the checkout."""
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        # A thread a process: they share the cores with other tests.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*started, timeout=300):
    """Waits for processes, and returns what each of them reported."""
    reports = []
    try:
        for process in started:
            out, errors = process.communicate(timeout=timeout)
            assert process.returncode == 0, errors[-4000:]
            lines = [x for x in out.splitlines() if x.startswith("REPORT ")]
            reports.append(json.loads(lines[-1][7:]) if lines else None)
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.communicate()
            process.stdout.close()
            process.stderr.close()
    return reports
