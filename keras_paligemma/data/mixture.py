"""A weighted mixture of data sets, as a map from an index to an example."""

import copy
import dataclasses
import zlib

import numpy as np

from keras_paligemma.data.choosing import choose
from keras_paligemma.data.image_decoding import UnreadableImageError
from keras_paligemma.data.problems import DataError
from keras_paligemma.data.problems import Problems
from keras_paligemma.data.selection import check_index
from keras_paligemma.data.selection import count_by_source
from keras_paligemma.data.selection import integer_weights
from keras_paligemma.data.selection import mix_bits
from keras_paligemma.data.selection import select
from keras_paligemma.data.selection import shard_index
from keras_paligemma.data.shuffling import shuffled_index
from keras_paligemma.data.source import as_sources
from keras_paligemma.data.source import check_weight

# With `on_error="skip"`, how many examples in a row may be unreadable.
_MAX_REPLACEMENTS = 16


class Mixture:
    """A weighted mixture of sources: a deterministic map without an end.

    `mixture[index]` depends on nothing but the arguments and the index.
    Stopping and going on is therefore a matter of the index alone, and it
    does not matter how many readers there are, or in which order they read.
    Sources come in proportion to their weights, exactly up to rounding; each
    is shuffled anew in each of its epochs.

    Args:
        sources: dict of name to `(records, weight)`, or a sequence of
            `Source`.
        seed: int. Of all shuffling, choosing and augmentation.
        on_error: `"raise"`: an example that cannot be read is a `ValueError`
            that names file and line. `"skip"`: another example of the same
            source stands in for it, always the same one, and it is counted
            in `problems`.
        augment: callable `(record, rng) -> record` or `None`. It gets a
            record with decoded images and a `numpy.random.Generator` that is
            drawn from seed, source, epoch and example.
        shuffle: bool. Whether sources are shuffled.

    Example:

    ```python
    mixture = Mixture({"captions": (captions, 3.0), "boxes": (boxes, 1.0)})
    mixture[0]  # Record(...), with decoded images
    mixture.locate(10**9)  # (source, epoch, example), at once
    mixture.examples_seen(1000)  # {"captions": 750, "boxes": 250}
    mixture.batch(start=64, size=32)  # {"images": [...], "prompts": ...}
    ```
    """

    def __init__(
        self, sources, seed=0, on_error="raise", augment=None, shuffle=True
    ):
        self.sources = as_sources(sources)
        self.seed = check_index(seed, "seed")
        self.augment = augment
        self.shuffle = shuffle
        self.problems = Problems(on_error)
        self.process_index = 0
        self.process_count = 1
        self._offsets = dict.fromkeys(self.sources, 0)
        self._set_weights({n: s.weight for n, s in self.sources.items()})

    def _set_weights(self, weights):
        self.weights = {n: float(weight) for n, weight in weights.items()}
        self._names = tuple(self.weights)
        self._integers = integer_weights(list(self.weights.values()))

    @property
    def examples_per_epoch(self):
        """int. The number of records of the sources that have a weight."""
        return sum(len(self.sources[name].records) for name in self._names)

    def describe(self):
        """What the mixture follows from, as a dict that JSON can hold.

        A run keeps it, so as not to go on with other data by mistake.
        """
        return {
            "sources": {
                name: {
                    "records": len(self.sources[name].records),
                    "weight": weight,
                    "begin": self._offsets[name],
                }
                for name, weight in self.weights.items()
            },
            "seed": self.seed,
            "shuffle": self.shuffle,
            "augment": self.augment and type(self.augment).__name__,
        }

    def locate(self, index):
        """Where the example at an index comes from.

        Args:
            index: int.

        Returns:
            A tuple: the name of the source, its epoch, and the index of the
            example among its records.
        """
        index = check_index(index, "index")
        if self.process_count > 1:
            index = shard_index(
                index, self.process_index, self.process_count, self.seed
            )
        position, count = select(index, self._integers)
        name = self._names[position]
        size = len(self.sources[name].records)
        epoch, example = divmod(count + self._offsets[name], size)
        if self.shuffle:
            seed = mix_bits(self._source_seed(name), epoch)
            example = shuffled_index(example, size, seed)
        return name, epoch, example

    def record(self, index):
        """The record at an index as its reader gives it, images not opened.

        Args:
            index: int.

        Returns:
            `Record`, with one of its `choices` drawn.
        """
        return self._record(*self.locate(index))

    def __getitem__(self, index):
        """The finished example at an index: decoded and augmented.

        Args:
            index: int.

        Returns:
            `Record`.

        Raises:
            ValueError: If it cannot be read.
        """
        name, epoch, example = self.locate(index)
        size = len(self.sources[name].records)
        for attempt in range(_MAX_REPLACEMENTS):
            try:
                return self._finish(name, epoch, example)
            except UnreadableImageError as error:
                self.problems.report("unreadable image", str(error))
            except DataError as error:
                self.problems.report(error.reason, str(error))
            example = (
                mix_bits(self._source_seed(name), epoch, example, attempt)
                % size
            )
        raise ValueError(
            f"{_MAX_REPLACEMENTS} examples in a row of the source {name!r} "
            f"cannot be read. Received: skipped={self.problems.counts}, the "
            f"first being {self.problems.examples}"
        )

    def batch(self, start, size):
        """Some consecutive examples, as `fit` takes them.

        Args:
            start: int. The index of the first.
            size: int.

        Returns:
            dict with the lists `"images"`, `"prompts"`, `"responses"`.
        """
        start, size = check_index(start, "start"), check_index(size, "size")
        rows = [self[index].raw() for index in range(start, start + size)]
        keys = ("images", "prompts", "responses")
        return {key: [row[key] for row in rows] for key in keys}

    def examples_seen(self, num_examples, by="source"):
        """How many examples the first indices take from each source.

        A shard counts what all processes have seen together. Earlier stages
        (see `with_weights`) are not counted.

        Args:
            num_examples: int. The number of examples drawn by this process.
            by: `"source"` or `"task"`.

        Returns:
            dict of name to int.
        """
        if by not in ("source", "task"):
            raise ValueError(
                f'`by` must be "source" or "task". Received: by={by!r}'
            )
        total = check_index(num_examples, "num_examples") * self.process_count
        counts = count_by_source(total, self._integers)
        result = dict(zip(self._names, counts, strict=True))
        if by == "source":
            return result
        tasks = {}
        for name, count in result.items():
            task = self.sources[name].task_name
            tasks[task] = tasks.get(task, 0) + count
        return tasks

    def epochs_seen(self, num_examples, by="source"):
        """How often each source was gone through, earlier stages included.

        Args:
            num_examples: int. The number of examples drawn by this process
                in this stage.
            by: `"source"` or `"task"`.

        Returns:
            dict of name to float.
        """
        seen = self.examples_seen(num_examples)
        totals, sizes = {}, {}
        for name, count in seen.items():
            source = self.sources[name]
            key = name if by == "source" else source.task_name
            count += self._offsets[name]
            totals[key] = totals.get(key, 0) + count
            sizes[key] = sizes.get(key, 0) + len(source.records)
        return {key: totals[key] / sizes[key] for key in totals}

    def shard(self, process_index, process_count):
        """The share of one process; the shares of all are disjoint.

        Together they are this mixture, so the number of processes may change
        between runs. Resume at an index that is `examples so far //
        process_count`.

        Args:
            process_index: int, below `process_count`.
            process_count: int.

        Returns:
            `Mixture`.
        """
        if self.process_count > 1:
            raise ValueError(
                "A share of a mixture cannot be divided again. Received: "
                f"process_count={self.process_count}. Call `shard` on the "
                "whole mixture."
            )
        if not 0 <= process_index < process_count:
            raise ValueError(
                "`process_index` must be at least 0 and less than "
                f"`process_count`. Received: process_index={process_index}, "
                f"process_count={process_count}"
            )
        result = self._copy()
        result.process_index = process_index
        result.process_count = process_count
        return result

    def with_weights(self, weights, after=0):
        """The mixture of another stage.

        Args:
            weights: dict of name to positive weight. Sources that it leaves
                out do not take part.
            after: int. How many examples (of this process) the stage before
                took: each source goes on where it stood, not from its start.

        Returns:
            `Mixture`, whose indices start from 0.
        """
        weights = dict(weights)
        unknown = sorted(set(weights) - set(self.sources))
        if unknown or not weights:
            raise ValueError(
                "The weights must be given by the names of sources. Received: "
                f"{sorted(weights)}, with unknown names {unknown}; there are "
                f"{sorted(self.sources)}."
            )
        for name, weight in weights.items():
            check_weight(name, weight)
        result = self._copy()
        for name, count in self.examples_seen(after).items():
            result._offsets[name] += count
        result._set_weights(weights)
        return result

    def _copy(self):
        result = copy.copy(self)
        result._offsets = dict(self._offsets)
        result.problems = Problems(self.problems.on_error)
        return result

    def _source_seed(self, name):
        return mix_bits(self.seed, zlib.crc32(name.encode("utf-8")))

    def _record(self, name, epoch, example):
        source = self.sources[name]
        record = source.records[example]
        changes = {"source": name}
        if source.task is not None:
            changes["task"] = source.task
        if len(record.choices) > 1:
            seed = mix_bits(self._source_seed(name), example)
            changes["suffix"] = choose(record.choices, epoch, seed)
        return dataclasses.replace(record, **changes)

    def _finish(self, name, epoch, example):
        record = self._record(name, epoch, example).decoded()
        if self.augment is None:
            return record
        seed = mix_bits(self._source_seed(name), epoch, example)
        return self.augment(record, np.random.default_rng(seed))
