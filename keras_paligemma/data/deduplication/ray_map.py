"""The work on chunks as a Ray Data pipeline."""

import dataclasses
import json

from keras_paligemma.data.deduplication.chunks import Chunk
from keras_paligemma.data.problems import DataError


class RayMap:
    """Does the work of `deduplicate` on every machine of a Ray cluster.

    Each worker process loads what it needs once (the index, the embeddings'
    model) and takes chunks from a stream as it gets done with them. What
    becomes of a chunk is written into the work folder, which must lie where
    every machine sees it, as must the images; a job that was interrupted goes
    on from there.

    Args:
        address: str or `None`. Of a Ray cluster, `"auto"` for the one that
            this machine belongs to; `None` starts Ray on this machine, and
            stops it at the end.
        workers: int. Worker processes.

    Raises:
        ImportError: Ray is not installed.

    Example:

    ```python
    with RayMap(workers=4) as ray_map:
        deduplicate(against, data, out, map_tasks=ray_map)
    ```
    """

    def __init__(self, address=None, workers=2):
        self.address = address
        self.workers = workers
        self._ray = _import_ray()

    def __enter__(self):
        if self.address is None:
            # "local": not a cluster that happens to run here.
            self._ray.init(
                "local",
                num_cpus=self.workers,
                include_dashboard=False,
                log_to_driver=False,
            )
        else:
            self._ray.init(self.address, log_to_driver=False)
        context = self._ray.data.DataContext.get_current()
        # `deduplicate` draws its own.
        context.enable_progress_bars = False
        return self

    def __exit__(self, *error):
        self._ray.shutdown()

    def __call__(self, task, chunks):
        """Yields the number of each chunk when it is done."""
        if not chunks:
            return
        rows = [
            {"number": number, "chunk": json.dumps(dataclasses.asdict(chunk))}
            for number, chunk in chunks
        ]
        data = self._ray.data
        done = data.from_items(rows, override_num_blocks=len(rows)).map(
            _Worker,
            fn_constructor_args=(task,),
            compute=data.ActorPoolStrategy(
                min_size=1, max_size=min(self.workers, len(rows))
            ),
        )
        for row in done.iter_rows():
            if row["message"]:
                raise DataError(row["reason"], row["message"])
            yield row["number"]


class _Worker:
    """Lives in a worker process, and keeps what the task has loaded."""

    def __init__(self, task):
        self.task = task

    def __call__(self, row):
        fields = json.loads(row["chunk"])
        fields["names"] = tuple(fields["names"])
        result = {"number": row["number"], "reason": "", "message": ""}
        try:
            self.task(row["number"], Chunk(**fields))
        except DataError as error:
            # As a row: raised here, it would arrive below pages of Ray's.
            result |= {"reason": error.reason, "message": str(error)}
        return result


def _import_ray():
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            "Working on several machines needs Ray Data: "
            "pip install 'keras-paligemma[distributed]'"
        ) from error
    return ray
