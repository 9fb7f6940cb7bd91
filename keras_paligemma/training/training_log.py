"""Reading the JSONL log of a training run."""

import json
from pathlib import Path


def read_log(path):
    """Reads a JSONL log: a dict of name to its steps and its values.

    Example:

    ```python
    read_log("log.jsonl")  # {"loss": ([0, 10], [2.3, 1.9])}
    ```

    Args:
        path: string or path.

    Returns:
        A dict of name to two lists. A step that stands there twice, as after
        a resumed run, keeps its last value.

    Raises:
        ValueError: If a line, other than a last one that was cut off, is no
            JSON object with a `step`.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    series = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            step = row["step"]
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise ValueError(
                "A log must have a JSON object with a `step` on each line. "
                f"Received: {path}, line {number}: {line.strip()[:80]}"
            ) from error
        for name, value in row.items():
            if name == "step" or isinstance(value, bool):
                continue
            if isinstance(value, int | float):
                series.setdefault(name, {})[step] = value
    return {
        name: (sorted(by_step), [by_step[step] for step in sorted(by_step)])
        for name, by_step in series.items()
    }
