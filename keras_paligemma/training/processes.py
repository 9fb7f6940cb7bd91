"""The processes of a run: how many, which one, and what they share.

JAX runs one process a host, PyTorch one a device, started by torchrun; both
call `initialize` first. Without it there is one process.
"""

import os

import keras
import numpy as np


def initialize(job_addresses=None, num_processes=None, process_id=None):
    """Joins this process with the others of the run.

    Call it before anything is computed.

    Args:
        job_addresses, num_processes, process_id: As for
            `keras.distribution.initialize`, on JAX. PyTorch reads what
            torchrun sets.

    Raises:
        ValueError: On PyTorch, if torchrun did not start this process; on
            TensorFlow, where `tf.distribute` does this.

    Example: `torchrun --nproc-per-node 2 train.py`, where `train.py` is
    ```python
    from keras_paligemma.training import processes

    processes.initialize()
    model = PaliGemmaCausalLM.from_preset("pali_gemma_3b_pt_224")
    model.fit(...)  # weights stay equal on all processes
    ```
    """
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        # What processes without an accelerator exchange arrays by.
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(job_addresses, num_processes, process_id)
    elif backend == "torch":
        import torch

        if "WORLD_SIZE" not in os.environ:
            raise ValueError(
                "On PyTorch torchrun says how many processes there are: "
                "`torchrun --nproc-per-node 2 train.py`. Received: no "
                "WORLD_SIZE in the environment"
            )
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    else:
        raise ValueError(
            "On TensorFlow make and compile the model under the scope of a "
            "`tf.distribute` strategy instead. "
            f"Received: backend={backend!r}"
        )


def shutdown():
    """Leaves the other processes; call it at the end of a script."""
    if _torch_distributed() is not None:
        _torch_distributed().destroy_process_group()
    elif keras.config.backend() == "jax" and process_count() > 1:
        import jax

        jax.distributed.shutdown()


def process_index():
    """Which process this is, counted from 0."""
    if keras.config.backend() == "jax":
        import jax

        return jax.process_index()
    distributed = _torch_distributed()
    return 0 if distributed is None else distributed.get_rank()


def process_count():
    """How many processes the run has."""
    if keras.config.backend() == "jax":
        import jax

        return jax.process_count()
    distributed = _torch_distributed()
    return 1 if distributed is None else distributed.get_world_size()


def is_chief():
    """Whether this is the process that logs and writes for all."""
    return process_index() == 0


def data_share():
    """Which part of each batch this process feeds.

    That is `process_index` of `process_count`, but for a mesh whose model
    axis spans several processes: those feed the same examples.

    Returns:
        Two ints: the index of the part, and how many there are.

    Example:
    ```python
    index, count = data_share()
    batches = TrainingBatches(
        mixture,
        model.preprocessor,
        batch_size=64,  # of all processes together
        total_steps=1000,
        process_index=index,
        process_count=count,
    )
    ```
    """
    distribution = keras.distribution.distribution()
    if keras.config.backend() != "jax" or distribution is None:
        return process_index(), process_count()
    return (
        distribution.data_shard_id,
        min(process_count(), distribution.num_model_replicas),
    )


def gather(value):
    """The whole of a variable or tensor, on each process.

    All processes must call it, in the same order.

    Args:
        value: `keras.Variable`, or a tensor of the backend.

    Returns:
        NumPy array.
    """
    if isinstance(value, keras.Variable):
        value = value.value
    if not getattr(value, "is_fully_addressable", True):
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(value, tiled=True))
    if hasattr(value, "full_tensor"):
        # A part of a tensor that PyTorch's `fully_shard` split.
        value = value.full_tensor()
    return keras.ops.convert_to_numpy(value)


def wait_for_all(name="wait_for_all"):
    """Returns when every process has called it.

    Args:
        name: string. What is waited for; the same on all processes.
    """
    if process_count() == 1:
        return
    if keras.config.backend() == "jax":
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
    else:
        _torch_distributed().barrier()


def _torch_distributed():
    """`torch.distributed`, if processes have joined; else `None`."""
    if keras.config.backend() != "torch":
        return None
    import torch

    if not torch.distributed.is_available():
        return None
    if not torch.distributed.is_initialized():
        return None
    return torch.distributed
