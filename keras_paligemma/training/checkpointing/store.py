"""Checkpoints on disk: written behind training, whole or not at all.

Orbax writes: into a folder that gets its name when all is there, from a
thread of its own, by all processes of a run together. Over it stand checksums
and the way back to the last checkpoint that is whole.
"""

import concurrent.futures
import contextlib
import warnings
from pathlib import Path

import keras
import numpy as np

from keras_paligemma.training.checkpointing.checksums import find_damage
from keras_paligemma.training.checkpointing.checksums import write_checksums


class CheckpointStore:
    """The checkpoints of one run.

    Example:

    ```python
    store = CheckpointStore("runs/flowers/checkpoints", keep=3)
    store.save(100, {"model/kernel": np.ones((2, 2))}, {"epoch": 1})
    store.close()  # waits until it is written
    step, facts, arrays = store.latest()  # 100, {"epoch": 1}, {...}
    ```

    Args:
        directory: path.
        keep: int. How many of the newest checkpoints to keep.
        keep_every: int or `None`. Those whose step is a multiple of it are
            kept for ever.

    Raises:
        ImportError: If Orbax is not installed.
        ValueError: If `keep` or `keep_every` is below 1.
    """

    def __init__(self, directory, keep=2, keep_every=None):
        for name, value in (("keep", keep), ("keep_every", keep_every)):
            if value is not None and value < 1:
                raise ValueError(
                    f"`{name}` must be 1 or more. Received: {name}={value}"
                )
        self.directory = Path(directory).absolute()
        self._orbax = _import_orbax()
        self.keep = keep
        self.keep_every = keep_every
        self._manager = self._open()
        self._worker = concurrent.futures.ThreadPoolExecutor(1)
        self._pending = None

    def steps(self):
        """The steps of which there are checkpoints, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step, arrays, facts):
        """Begins to write a checkpoint; waits for the one before it.

        Args:
            step: int.
            arrays: dict of name to array of one dimension or more. They must
                not change any more.
            facts: dict that JSON can hold.

        Raises:
            OSError: If this checkpoint, or the one before it, could not be
                written; those written earlier are still there.
        """
        self.wait()
        orbax = self._orbax
        try:
            if step in self.steps():
                # A damaged one that the run has come back to.
                self._manager.delete(step)
            self._manager.save(
                step,
                args=orbax.args.Composite(
                    arrays=orbax.args.PyTreeSave(arrays),
                    facts=orbax.args.JsonSave(facts),
                ),
                force=True,
            )
        except Exception as error:
            raise self._failure(step, error) from error
        self._pending = (step, self._worker.submit(self._finish, step))

    def wait(self):
        """Waits until everything is on disk.

        Raises:
            OSError: If the last checkpoint could not be written.
        """
        if self._pending is None:
            return
        step, future = self._pending
        self._pending = None
        try:
            future.result()
        except Exception as error:
            # Orbax would raise the error at every later call, too.
            with contextlib.suppress(Exception):
                self._manager.close()
            self._manager = self._open()
            raise self._failure(step, error) from error

    def close(self):
        """Waits until everything is on disk, and ends the threads."""
        try:
            self.wait()
        finally:
            self._worker.shutdown()
            self._manager.close()

    def latest(self, check=None):
        """Reads the newest checkpoint that is whole.

        Damaged ones are passed over with a warning. They stay until the run
        writes those steps again.

        Args:
            check: callable of a dict of name to shape, or `None`. May raise a
                `ValueError` before arrays are read.

        Returns:
            A tuple `(step, facts, arrays)`, or `None` if there is no whole
            checkpoint.

        Raises:
            ValueError: If there are checkpoints but none is whole; or what
                `check` raises.
        """
        damaged = []
        for step in reversed(self.steps()):
            fault = find_damage(self.directory / str(step))
            if fault is None:
                try:
                    facts, shapes = self._describe(step)
                except Exception as error:
                    fault = _one_line(error)
            if fault is None:
                if check is not None:
                    check(shapes)
                try:
                    return step, facts, self._read(step, shapes)
                except Exception as error:
                    fault = _one_line(error)
            damaged.append((step, fault))
            warnings.warn(
                f"The checkpoint of step {step} in {self.directory} is "
                f"damaged: {fault}. The one before it is used.",
                stacklevel=2,
            )
        if damaged:
            raise ValueError(
                f"No checkpoint in {self.directory} is whole. Received: "
                + "; ".join(f"step {step}: {fault}" for step, fault in damaged)
                + ". Move that folder away to train from the beginning."
            )
        return None

    def _open(self):
        # Orbax would delete old checkpoints before the new one is there.
        return self._orbax.CheckpointManager(
            self.directory,
            item_handlers={
                "arrays": self._orbax.PyTreeCheckpointHandler(),
                "facts": self._orbax.JsonCheckpointHandler(),
            },
        )

    def _describe(self, step):
        orbax = self._orbax
        facts = self._manager.restore(
            step, args=orbax.args.Composite(facts=orbax.args.JsonRestore())
        )["facts"]
        metadata = self._manager.item_metadata(step)["arrays"]
        tree = getattr(metadata, "tree", metadata)
        return facts, {name: tuple(array.shape) for name, array in tree.items()}

    def _read(self, step, shapes):
        orbax = self._orbax
        as_numpy = {
            name: orbax.RestoreArgs(restore_type=np.ndarray) for name in shapes
        }
        return self._manager.restore(
            step,
            args=orbax.args.Composite(
                arrays=orbax.args.PyTreeRestore(restore_args=as_numpy)
            ),
        )["arrays"]

    def _finish(self, step):
        self._manager.wait_until_finished()
        self._manager.check_for_errors()
        folder = self.directory / str(step)
        if not folder.is_dir():
            raise OSError(f"{folder} was not written")
        if _is_first_process():
            write_checksums(folder)
        for old in self.steps()[: -self.keep]:
            if not self.keep_every or old % self.keep_every:
                self._manager.delete(old)

    def _failure(self, step, error):
        whole = [known for known in self.steps() if known != step]
        return OSError(
            f"The checkpoint of step {step} could not be written to "
            f"{self.directory}: {_one_line(error)}. Checkpoints that are "
            f"whole: {whole or 'none'}. Make room on the disk, then start the "
            "same run again."
        )


def _one_line(error):
    text = " ".join(str(error).split()) or type(error).__name__
    # The cause stands at the end.
    return text if len(text) <= 200 else f"... {text[-200:]}"


def _is_first_process():
    import jax

    return jax.process_index() == 0


def _import_orbax():
    try:
        import jax
        import orbax.checkpoint
    except ImportError as error:
        raise ImportError(
            "Checkpoints of a run are written by Orbax, which is not "
            "installed: pip install 'keras-paligemma[train]'"
        ) from error
    if keras.backend.backend() != "jax":
        # Orbax brings JAX, which would reserve the accelerator for itself.
        jax.config.update("jax_platforms", "cpu")
    return orbax.checkpoint
