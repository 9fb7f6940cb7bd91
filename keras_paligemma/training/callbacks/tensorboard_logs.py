"""Scalars and pictures for TensorBoard, on every backend."""

from pathlib import Path

import numpy as np

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_numbers import StepNumbers
from keras_paligemma.training.callbacks.step_numbers import as_numbers


class TensorBoardLogs(StepNumbers):
    """Writes logs, and pictures of predictions, for TensorBoard.

    Steps are those of the run, also after it was resumed; what TensorBoard
    has of later steps is hidden then.

    Example:

    ```python
    board = TensorBoardLogs("runs/flowers/tensorboard", pictures="pictures")
    model.fit(batches, callbacks=[board])
    ```

    Args:
        directory: path.
        every: int. Steps from one point to the next.
        pictures: path or `None`. A folder of PNG files, as
            `PredictionPictures` fills it; new ones are shown.

    Raises:
        ImportError: If tensorboardX is not installed.
    """

    def __init__(self, directory, every=10, pictures=None):
        super().__init__()
        self.directory = Path(directory)
        self.every = check_every(every)
        self.pictures = pictures and Path(pictures)
        self._writer_class = _import_writer()
        self._writer = None
        self._shown = {}

    def on_train_begin(self, logs=None):
        self._writer = self._writer_class(
            str(self.directory), purge_step=self.step + 1 if self.step else None
        )
        self._shown = self._picture_files()

    def on_step_end(self, step, logs):
        if self.due(self.every):
            self._write(self.numbers(logs))

    def on_epoch_end(self, epoch, logs=None):
        self._write(as_numbers(logs or {}))
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._show_pictures()
        self._writer.close()

    def _write(self, numbers):
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, self.step)
        self._show_pictures()

    def _picture_files(self):
        """Dict of path to when it was written: steps may be made again."""
        if not self.pictures:
            return {}
        paths = sorted(self.pictures.glob("*.png"))
        return {path: path.stat().st_mtime_ns for path in paths}

    def _show_pictures(self):
        from PIL import Image

        for path, written in self._picture_files().items():
            if self._shown.get(path) != written:
                self._shown[path] = written
                with Image.open(path) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                self._writer.add_image(
                    "predictions", pixels, self.step, dataformats="HWC"
                )


def _import_writer():
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard's files are written by tensorboardX, which is not "
            "installed: pip install 'keras-paligemma[train]'"
        ) from error
    return SummaryWriter
