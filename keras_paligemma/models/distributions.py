"""Ways to spread a model and its batches over several devices, on JAX.

Set one before the model is made:

```python
keras.distribution.set_distribution(fully_sharded())
model = PaliGemmaCausalLM.from_preset("pali_gemma_3b_pt_224")
model.fit(...)
```

Each process feeds its own share of a batch (`training.processes`).
"""

import math

import keras

from keras_paligemma.models.layouts import BackboneLayouts
from keras_paligemma.models.layouts import check_layout
from keras_paligemma.models.layouts import mesh_size

BATCH_AXIS = "batch"
MODEL_AXIS = "model"
# Smaller variables are not worth gathering: every device keeps them.
MIN_SIZE_TO_SPLIT = 2**20


def data_parallel(devices=None):
    """Every device holds the whole model and a part of the batch.

    Args:
        devices: list of strings, or `None` for all.

    Returns:
        A `keras.distribution.DataParallel`.
    """
    return keras.distribution.DataParallel(
        devices=_devices(devices), auto_shard_dataset=False
    )


def tensor_parallel(model_parallel=2, devices=None, num_key_value_heads=1):
    """Groups of devices share each product (Megatron-LM).

    Args:
        model_parallel: int. Devices of a group, which hold the model
            together; the batch is split over the groups.
        devices: list of strings, or `None` for all.
        num_key_value_heads: int. Of the decoder; see
            `PaliGemmaBackbone.get_layout_map`.

    Returns:
        A `keras.distribution.ModelParallel`.

    Raises:
        ValueError: If the devices can not be grouped evenly; or, where a
            variable is made, if it can not be split evenly.
    """
    return _sharded(model_parallel, devices, num_key_value_heads, None)


def fully_sharded(
    model_parallel=1,
    devices=None,
    num_key_value_heads=1,
    min_size=MIN_SIZE_TO_SPLIT,
):
    """Every device holds a part of each large variable and of the batch.

    What FSDP and ZeRO 3 do: weights, gradients and optimizer state are split
    over the axis of the batch, each on its longest dimension that divides;
    weights are gathered before they are used.

    Args:
        model_parallel: int. Above 1, products are shared by so many devices
            besides, as by `tensor_parallel`.
        devices: list of strings, or `None` for all.
        num_key_value_heads: int. Of the decoder.
        min_size: int. Variables with fewer elements are not split so.

    Returns:
        A `keras.distribution.ModelParallel`.

    Raises:
        ValueError: As `tensor_parallel`.
    """
    return _sharded(model_parallel, devices, num_key_value_heads, min_size)


class ShardedParallel(keras.distribution.ModelParallel):
    """`ModelParallel` that checks its layouts, and splits large variables.

    Args:
        layout_map: `keras.distribution.LayoutMap`.
        batch_dim_name: string. The axis of the mesh that batches are split
            over.
        min_size: int or `None`. If given, variables with so many elements or
            more are split over that axis too, on the longest dimension that
            it divides and no other axis splits.
        **kwargs: Further arguments of `keras.distribution.ModelParallel`.
    """

    def __init__(self, *, layout_map, batch_dim_name, min_size=None, **kwargs):
        super().__init__(
            layout_map=layout_map, batch_dim_name=batch_dim_name, **kwargs
        )
        self.min_size = min_size

    def get_variable_layout(self, variable):
        layout = super().get_variable_layout(variable)
        check_layout(variable, layout)
        shape, axes = tuple(variable.shape), list(layout.axes)
        if (
            self.min_size is None
            or self.batch_dim_name in axes
            or math.prod(shape) < self.min_size
        ):
            return layout
        size = mesh_size(self.device_mesh, self.batch_dim_name)
        candidates = [
            index
            for index, dimension in enumerate(shape)
            if axes[index] is None and dimension % size == 0
        ]
        if not candidates:
            return layout
        axes[max(candidates, key=lambda index: shape[index])] = (
            self.batch_dim_name
        )
        return keras.distribution.TensorLayout(axes, self.device_mesh)


def _sharded(model_parallel, devices, num_key_value_heads, min_size):
    devices = _devices(devices)
    if model_parallel < 1 or len(devices) % model_parallel:
        raise ValueError(
            "`model_parallel` must divide the number of devices. Received: "
            f"model_parallel={model_parallel}, {len(devices)} devices"
        )
    mesh = keras.distribution.DeviceMesh(
        (len(devices) // model_parallel, model_parallel),
        (BATCH_AXIS, MODEL_AXIS),
        devices,
    )
    layout_map = BackboneLayouts.get_layout_map(
        mesh,
        model_parallel_dim_name=MODEL_AXIS,
        data_parallel_dim_name=None,
        num_key_value_heads=num_key_value_heads,
    )
    return ShardedParallel(
        layout_map=layout_map,
        batch_dim_name=BATCH_AXIS,
        min_size=min_size,
        auto_shard_dataset=False,
    )


def _devices(devices):
    backend = keras.config.backend()
    if backend != "jax":
        raise ValueError(
            "`keras.distribution` spreads models over devices on JAX only. "
            "On PyTorch start several processes with torchrun (see "
            "`training.processes.initialize`); on TensorFlow make and compile "
            "the model under `tf.distribute.MirroredStrategy().scope()`. "
            f"Received: backend={backend!r}"
        )
    return list(devices or keras.distribution.list_devices())
