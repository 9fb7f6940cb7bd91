"""PyTorch's own path: `fit` in several processes that torchrun started.

JAX needs none of this: there one computation spans all processes.
"""

import contextlib

import keras


class TorchProcesses:
    """Mixin whose training step goes through `DistributedDataParallel`.

    Once `torch.distributed` is initialised with several processes, the first
    `fit` after `compile` gives all of them the weights of the first one, and
    gradients are averaged over processes while the backward pass runs, so
    that any optimizer keeps the weights equal. Each process feeds its own
    part of each batch; parts must be of one size, and there must be as many
    on each process. Losses and metrics logged by `fit` are means over
    processes; `evaluate` knows of its own process only.

    Without processes, and on the other backends, nothing changes.
    """

    _replica = None

    def make_train_function(self, force=False):
        if _process_count() > 1:
            parameters = {id(v.value) for v in self.trainable_weights}
            if (
                self.train_function is None
                or self._replica is None
                or self._replica.parameters != parameters
            ):
                self._replica = _Replica(self, parameters)
        return super().make_train_function(force)

    def train_step(self, *arguments):
        if self._replica is None:
            return super().train_step(*arguments)
        self._replica.averages_metrics = True
        with self._replica.flag("in_step"):
            return super().train_step(*arguments)

    def test_step(self, *arguments):
        if self._replica is not None:
            self._replica.averages_metrics = False
        return super().test_step(*arguments)

    def __call__(self, *args, **kwargs):
        replica = self._replica
        if replica is None or not replica.in_step or replica.in_call:
            return super().__call__(*args, **kwargs)
        with replica.flag("in_call"):
            return replica.module(*args, **kwargs)

    def get_metrics_result(self):
        result = super().get_metrics_result()
        if self._replica is None or not self._replica.averages_metrics:
            return result
        return _means(result)


class _Replica:
    """The wrapped model, out of sight of what looks for parts of a model."""

    def __init__(self, model, parameters):
        import torch

        self.parameters = parameters
        self.in_step = False
        self.in_call = False
        self.averages_metrics = False
        self.module = None
        if parameters:
            self.module = torch.nn.parallel.DistributedDataParallel(
                model, broadcast_buffers=False
            )
        else:
            self.in_call = True

    @contextlib.contextmanager
    def flag(self, name):
        before = getattr(self, name)
        setattr(self, name, True)
        try:
            yield
        finally:
            setattr(self, name, before)


def _process_count():
    if keras.config.backend() != "torch":
        return 1
    import torch

    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size()


def _means(result):
    """Each number of a (nested) dict, averaged over processes."""
    import torch

    numbers = [float(number) for number in keras.tree.flatten(result)]
    device = keras.ops.convert_to_tensor(0.0).device
    sums = torch.tensor(numbers, dtype=torch.float32, device=device)
    torch.distributed.all_reduce(sums)
    means = (sums / torch.distributed.get_world_size()).tolist()
    return keras.tree.pack_sequence_as(result, means)
