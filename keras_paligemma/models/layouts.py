"""How each variable of the backbone is split over a mesh of devices.

A table: pattern of a path, then for each dimension of the variable which axis
of the mesh splits it. Kernels are stored `[out, in]`. Along the model axis
products come in pairs, as in Megatron-LM (arXiv 1909.08053): the first is
split on its outputs, the second on its inputs, so that devices exchange
something only behind the second. Along the data axis the other dimension is
split, which is gathered before use (arXiv 1910.02054).
"""

import re

import keras

# What a table's row may name, beside `None` for a dimension left whole.
MODEL = "model axis"
KEY_VALUE_HEADS = "model axis, where it divides the heads of keys and values"
DATA = "data axis"

LAYOUT_ROWS = (
    ("embedding/embeddings", (MODEL, DATA)),
    (r"decoder/block_\d+/attention/query_dense/kernel", (MODEL, DATA)),
    (
        r"decoder/block_\d+/attention/(key|value)_dense/kernel",
        (KEY_VALUE_HEADS, DATA),
    ),
    (r"decoder/block_\d+/attention/output_dense/kernel", (DATA, MODEL)),
    (r"decoder/block_\d+/feedforward/(gate|up)_dense/kernel", (MODEL, DATA)),
    (r"decoder/block_\d+/feedforward/down_dense/kernel", (DATA, MODEL)),
    (r"decoder/(block_\d+/)?\w+_norm/scale", (None,)),
    # 588 pixel values a patch are divisible by few meshes.
    ("image_encoder/patch_embedding/kernel", (DATA, None)),
    ("image_encoder/patch_embedding/bias", (None,)),
    ("image_encoder/position_embedding", (None, DATA)),
    (
        r"image_encoder/block_\d+/attention/(query|key|value)_dense/kernel",
        (MODEL, DATA),
    ),
    (
        r"image_encoder/block_\d+/attention/(query|key|value)_dense/bias",
        (MODEL,),
    ),
    (r"image_encoder/block_\d+/attention/output_dense/kernel", (DATA, MODEL)),
    (r"image_encoder/block_\d+/feedforward/input_dense/kernel", (MODEL, DATA)),
    (r"image_encoder/block_\d+/feedforward/input_dense/bias", (MODEL,)),
    (r"image_encoder/block_\d+/feedforward/output_dense/kernel", (DATA, MODEL)),
    # Added once, behind the sum over devices.
    (r"image_encoder/block_\d+/\w+/output_dense/bias", (None,)),
    (r"image_encoder/(block_\d+/)?\w+_norm/(gamma|beta)", (None,)),
    ("projector/kernel", (None, DATA)),
    ("projector/bias", (None,)),
)


class BackboneLayouts:
    """Mixin of a backbone with layouts for `keras.distribution`."""

    @staticmethod
    def get_layout_map(
        device_mesh,
        model_parallel_dim_name="model",
        data_parallel_dim_name="batch",
        num_key_value_heads=1,
    ):
        """A `keras.distribution.LayoutMap` of every variable.

        `tensor_parallel` and `fully_sharded` make the mesh, the map and the
        distribution in one call.

        Args:
            device_mesh: `keras.distribution.DeviceMesh`.
            model_parallel_dim_name: string or `None`. The axis of the mesh
                that products are split over; `None` splits none.
            data_parallel_dim_name: string or `None`. The axis of the mesh
                that batches are split over, and here variables too; `None`
                keeps them whole along it.
            num_key_value_heads: int. Heads of keys and values of the
                decoder: their kernels are split where the model axis divides
                it, else every device keeps them.

        Returns:
            `keras.distribution.LayoutMap`. Each path is matched by one
            pattern only.

        Example:
        ```python
        mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))
        layout_map = PaliGemmaBackbone.get_layout_map(mesh)
        keras.distribution.set_distribution(
            keras.distribution.ModelParallel(
                layout_map=layout_map, batch_dim_name="batch"
            )
        )
        model = PaliGemmaCausalLM.from_preset("pali_gemma_3b_mix_224")
        ```
        """
        if not isinstance(device_mesh, keras.distribution.DeviceMesh):
            raise ValueError(
                "`device_mesh` must be a `keras.distribution.DeviceMesh`. "
                f"Received: device_mesh={device_mesh!r} "
                f"(of type {type(device_mesh).__name__})"
            )
        for argument, name in (
            ("model_parallel_dim_name", model_parallel_dim_name),
            ("data_parallel_dim_name", data_parallel_dim_name),
        ):
            if name is not None and name not in device_mesh.axis_names:
                raise ValueError(
                    f"`{argument}` must be an axis of the mesh or `None`. "
                    f"Received: {argument}={name!r}, axes "
                    f"{list(device_mesh.axis_names)}"
                )
        axes = {
            None: None,
            MODEL: model_parallel_dim_name,
            DATA: data_parallel_dim_name,
            KEY_VALUE_HEADS: None,
        }
        if model_parallel_dim_name is not None:
            size = mesh_size(device_mesh, model_parallel_dim_name)
            if num_key_value_heads % size == 0:
                axes[KEY_VALUE_HEADS] = model_parallel_dim_name
        layout_map = keras.distribution.LayoutMap(device_mesh)
        for pattern, row in LAYOUT_ROWS:
            layout_map[pattern] = tuple(axes[entry] for entry in row)
        return layout_map


def check_layout_map(layout_map, variables):
    """Raises a `ValueError` unless a map fits the variables of a model.

    Every variable must be matched by one pattern, of its rank, whose axes
    divide its dimensions; and every pattern must match a variable.

    Args:
        layout_map: `keras.distribution.LayoutMap`.
        variables: list of `keras.Variable`.
    """
    used = set()
    for variable in variables:
        path = variable.path
        matches = [p for p in layout_map if re.fullmatch(p, path)]
        if len(matches) != 1:
            raise ValueError(
                "Every variable must be matched by one pattern of the layout "
                f"map. Received: {path}, matched by {matches or 'none'}"
            )
        used.update(matches)
        check_layout(variable, layout_map[path])
    spare = sorted(set(layout_map) - used)
    if spare:
        raise ValueError(
            "Every pattern of the layout map must match the path of a "
            f"variable; leave these out. Received: {spare}"
        )


def check_layout(variable, layout):
    """Raises a `ValueError` if a layout does not divide a variable.

    Args:
        variable: `keras.Variable`.
        layout: `keras.distribution.TensorLayout`.
    """
    shape = tuple(variable.shape)
    if len(layout.axes) != len(shape):
        raise ValueError(
            "A layout must have an axis name or `None` for each dimension of "
            f"its variable. Received: {variable.path} with shape {shape}, "
            f"axes {layout.axes}"
        )
    for index, (dimension, axis) in enumerate(
        zip(shape, layout.axes, strict=True)
    ):
        size = 1 if axis is None else mesh_size(layout.device_mesh, axis)
        if dimension % size:
            raise ValueError(
                f"Dimension {index} of {variable.path} can not be split "
                f"evenly over the axis {axis!r} of the mesh; choose a mesh "
                f"where that axis divides it. Received: shape={shape}, "
                f"{size} devices along {axis!r}"
            )


def mesh_size(device_mesh, axis):
    """The number of devices along an axis of a mesh."""
    return device_mesh.shape[list(device_mesh.axis_names).index(axis)]
