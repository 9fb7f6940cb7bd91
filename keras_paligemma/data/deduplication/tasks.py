"""What is done with a chunk, as an object that can be sent elsewhere."""

import dataclasses
from collections.abc import Callable

from keras_paligemma.data.deduplication.limits import Limits
from keras_paligemma.data.deduplication.shards import read_shard
from keras_paligemma.data.deduplication.steps import hash_chunk
from keras_paligemma.data.deduplication.steps import matches_path
from keras_paligemma.data.deduplication.steps import search_chunk
from keras_paligemma.data.deduplication.steps import shard_path


@dataclasses.dataclass(frozen=True)
class AgainstTask:
    """Hashes a chunk of the images that must not be trained on.

    Args:
        folder: str. Where the shards lie; every process must see it.
        on_error: `"raise"` or `"skip"`.
        threads: int. Images decoded at the same time.
        embed: callable or `None`, as for `deduplicate`.
    """

    folder: str
    on_error: str
    threads: int
    embed: Callable | None

    def __call__(self, number, chunk):
        hash_chunk(
            chunk,
            self.path(number),
            self.on_error,
            self.threads,
            self.embed,
            mirrored=True,
        )

    def path(self, number):
        """The file that is there once the chunk is done."""
        return shard_path(self.folder, "against", number)

    def count(self, number):
        """How many images a chunk that is done has."""
        return len(read_shard(self.path(number))["paths"])


@dataclasses.dataclass(frozen=True)
class DataTask:
    """Hashes a chunk of the data, and searches for its images.

    Args:
        folder: str. Where the shards lie; every process must see it.
        on_error: `"raise"` or `"skip"`.
        threads: int. Images decoded at the same time.
        embed: callable or `None`, as for `deduplicate`.
        num_against: int. How many shards there are to search in.
        limits: `Limits`.
    """

    folder: str
    on_error: str
    threads: int
    embed: Callable | None
    num_against: int
    limits: Limits

    def __call__(self, number, chunk):
        hash_chunk(
            chunk,
            shard_path(self.folder, "data", number),
            self.on_error,
            self.threads,
            self.embed,
        )
        search_chunk(self.folder, number, self.num_against, self.limits)

    def path(self, number):
        """The file that is there once the chunk is done."""
        return matches_path(self.folder, number)
