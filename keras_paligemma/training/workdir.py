"""The folder of a run: what lies where, and which run it belongs to."""

import json
import os
from pathlib import Path

RUN_FILE = "run.json"


class Workdir:
    """The folder of one run.

    ```
    workdir/
      run.json       what this run is; another run is refused
      checkpoints/   to go on from
      log.jsonl      one line a logged step
      tensorboard/   the same, and pictures, for TensorBoard
      pictures/      predictions on fixed examples
      model/         the trained model, once the run has ended
    ```

    Example:

    ```python
    workdir = Workdir("runs/flowers")
    workdir.claim({"stage": "flowers", "seed": 0})
    workdir.log  # PosixPath('runs/flowers/log.jsonl')
    ```

    Args:
        path: path. Made by `claim` if it is not there.
    """

    def __init__(self, path):
        self.path = Path(path)

    @property
    def checkpoints(self):
        return self.path / "checkpoints"

    @property
    def log(self):
        return self.path / "log.jsonl"

    @property
    def tensorboard(self):
        return self.path / "tensorboard"

    @property
    def pictures(self):
        return self.path / "pictures"

    @property
    def model(self):
        return self.path / "model"

    def claim(self, run):
        """Takes the folder for a run, or finds that it is this run's.

        Args:
            run: dict that JSON can hold. What the run follows from.

        Raises:
            ValueError: If the folder belongs to another run, or holds files
                that are no run's.
        """
        run = json.loads(json.dumps(run))
        file = self.path / RUN_FILE
        if file.exists():
            check_same_run(self._read(file), run, self.path)
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise ValueError(
                "`workdir` must be a new or empty folder, or that of this "
                f"run. Received: workdir={self.path}, which holds other "
                f"files and no {RUN_FILE}"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self.path / f".{RUN_FILE}-{os.getpid()}"
        temporary.write_text(json.dumps(run, indent=2) + "\n")
        os.replace(temporary, file)

    def _read(self, file):
        try:
            return json.loads(file.read_text())
        except ValueError as error:
            raise ValueError(
                f"{file} is not JSON: {error}. Give another `workdir`"
            ) from error


def check_same_run(known, run, place):
    """Raises a `ValueError` that names what differs between two runs.

    Args:
        known: dict. The run that a place belongs to.
        run: dict. This run.
        place: path. What the error calls the place.
    """
    differences = [
        f"{name} is {known.get(name)!r} there and {run.get(name)!r} here"
        for name in sorted({*known, *run})
        if known.get(name) != run.get(name)
    ]
    if differences:
        raise ValueError(
            f"{place} belongs to another run. Give a folder of its own, or "
            "the settings of that run to go on with it. Received: "
            + "; ".join(differences)
        )
