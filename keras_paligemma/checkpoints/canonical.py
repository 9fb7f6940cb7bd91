"""The variables of the backbone: their paths and shapes, by its arguments."""

# Shapes are written with the names of sizes; `a*b` is a product. `{i}` counts
# the layers of the component that the path begins with.
IMAGE_ENCODER = (
    ("image_encoder/patch_embedding/kernel", "vit_dim patch_size*patch_size*3"),
    ("image_encoder/patch_embedding/bias", "vit_dim"),
    ("image_encoder/position_embedding", "num_patches vit_dim"),
    ("image_encoder/block_{i}/attention_norm/gamma", "vit_dim"),
    ("image_encoder/block_{i}/attention_norm/beta", "vit_dim"),
    ("image_encoder/block_{i}/attention/query_dense/kernel", "vit_dim vit_dim"),
    ("image_encoder/block_{i}/attention/query_dense/bias", "vit_dim"),
    ("image_encoder/block_{i}/attention/key_dense/kernel", "vit_dim vit_dim"),
    ("image_encoder/block_{i}/attention/key_dense/bias", "vit_dim"),
    ("image_encoder/block_{i}/attention/value_dense/kernel", "vit_dim vit_dim"),
    ("image_encoder/block_{i}/attention/value_dense/bias", "vit_dim"),
    (
        "image_encoder/block_{i}/attention/output_dense/kernel",
        "vit_dim vit_dim",
    ),
    ("image_encoder/block_{i}/attention/output_dense/bias", "vit_dim"),
    ("image_encoder/block_{i}/feedforward_norm/gamma", "vit_dim"),
    ("image_encoder/block_{i}/feedforward_norm/beta", "vit_dim"),
    (
        "image_encoder/block_{i}/feedforward/input_dense/kernel",
        "vit_mlp_dim vit_dim",
    ),
    ("image_encoder/block_{i}/feedforward/input_dense/bias", "vit_mlp_dim"),
    (
        "image_encoder/block_{i}/feedforward/output_dense/kernel",
        "vit_dim vit_mlp_dim",
    ),
    ("image_encoder/block_{i}/feedforward/output_dense/bias", "vit_dim"),
    ("image_encoder/final_norm/gamma", "vit_dim"),
    ("image_encoder/final_norm/beta", "vit_dim"),
)
PROJECTOR = (
    ("projector/kernel", "dim vit_dim"),
    ("projector/bias", "dim"),
)
EMBEDDING = (("embedding/embeddings", "vocabulary dim"),)
DECODER = (
    ("decoder/block_{i}/attention_norm/scale", "dim"),
    ("decoder/block_{i}/attention/query_dense/kernel", "heads*head_dim dim"),
    ("decoder/block_{i}/attention/key_dense/kernel", "kv_heads*head_dim dim"),
    ("decoder/block_{i}/attention/value_dense/kernel", "kv_heads*head_dim dim"),
    ("decoder/block_{i}/attention/output_dense/kernel", "dim heads*head_dim"),
    ("decoder/block_{i}/post_attention_norm/scale", "dim"),
    ("decoder/block_{i}/feedforward_norm/scale", "dim"),
    ("decoder/block_{i}/feedforward/gate_dense/kernel", "mlp_dim dim"),
    ("decoder/block_{i}/feedforward/up_dense/kernel", "mlp_dim dim"),
    ("decoder/block_{i}/feedforward/down_dense/kernel", "dim mlp_dim"),
    ("decoder/block_{i}/post_feedforward_norm/scale", "dim"),
    ("decoder/final_norm/scale", "dim"),
)
COMPONENTS = {
    "image_encoder": IMAGE_ENCODER,
    "projector": PROJECTOR,
    "embedding": EMBEDDING,
    "decoder": DECODER,
}

# Paths that only a model with this argument has.
OPTIONAL = {
    "/post_attention_norm/": "use_post_attention_norm",
    "/post_feedforward_norm/": "use_post_ffw_norm",
}

IMAGE_ENCODER_ARGUMENTS = (
    "image_size",
    "vit_patch_size",
    "vit_num_heads",
    "vit_hidden_dim",
    "vit_num_layers",
    "vit_intermediate_dim",
)
DECODER_ARGUMENTS = (
    "vocabulary_size",
    "num_layers",
    "num_query_heads",
    "num_key_value_heads",
    "hidden_dim",
    "intermediate_dim",
    "head_dim",
    "query_head_dim_normalize",
    "use_post_ffw_norm",
    "use_post_attention_norm",
    "attention_logit_soft_cap",
    "final_logit_soft_cap",
    "use_sliding_window_attention",
    "sliding_window_size",
    "layer_norm_epsilon",
    "dropout",
)


def sizes(arguments):
    """The sizes that shapes are written with.

    Args:
        arguments: dict. Constructor arguments of the backbone, or of one
            half of it.

    Returns:
        A dict of name to int.
    """
    found = {}
    if "vit_hidden_dim" in arguments:
        patch = arguments["vit_patch_size"]
        found["image_encoder_layers"] = arguments["vit_num_layers"]
        found["vit_dim"] = arguments["vit_hidden_dim"]
        found["vit_heads"] = arguments["vit_num_heads"]
        found["vit_head_dim"] = (
            arguments["vit_hidden_dim"] // arguments["vit_num_heads"]
        )
        found["vit_mlp_dim"] = arguments["vit_intermediate_dim"]
        found["patch_size"] = patch
        found["num_patches"] = (arguments["image_size"] // patch) ** 2
    if "hidden_dim" in arguments:
        found["decoder_layers"] = arguments["num_layers"]
        found["dim"] = arguments["hidden_dim"]
        found["vocabulary"] = arguments["vocabulary_size"]
        found["heads"] = arguments["num_query_heads"]
        found["kv_heads"] = arguments["num_key_value_heads"]
        found["head_dim"] = arguments["head_dim"]
        found["mlp_dim"] = feedforward_width(arguments)
    return found


def feedforward_width(arguments):
    """The width of the decoder's gate, the one place that says what
    `intermediate_dim` means; `intermediate_dim_of` is its inverse."""
    return arguments["intermediate_dim"] // 2


def intermediate_dim_of(width):
    """The argument `intermediate_dim` of a model whose gate has this width.

    As in Keras-Hub it is twice the width: gate and up projection are counted
    together.
    """
    return 2 * width


def evaluate_shape(text, known):
    """The shape that `text` stands for.

    Args:
        text: str. Names of sizes, as in `"heads*head_dim dim"`.
        known: dict. What `sizes` returned.

    Returns:
        A tuple of ints.
    """
    return tuple(evaluate_size(word, known) for word in text.split())


def evaluate_size(word, known):
    """The number that one word of a shape stands for, as `heads*head_dim`."""
    product = 1
    for factor in word.split("*"):
        product *= int(factor) if factor.isdigit() else known[factor]
    return product


def num_layers(path, known):
    """The number of layers of the component that `path` belongs to."""
    return known[f"{path.split('/')[0]}_layers"]


def is_used(path, arguments):
    """Whether a model with these arguments has variables at this path."""
    for part, argument in OPTIONAL.items():
        if part in path:
            return bool(arguments.get(argument))
    return True


def canonical_shapes(arguments, components=tuple(COMPONENTS)):
    """Path and shape of every variable of the backbone.

    Args:
        arguments: dict. Constructor arguments of the backbone.
        components: tuple of str. Which components to list.

    Returns:
        A dict of path to shape, in the order of the model.

    Example:

    ```python
    checkpoint = keras_paligemma.checkpoints.open_checkpoint(path)
    shapes = canonical_shapes(checkpoint.arguments, ("projector",))
    # {"projector/kernel": (2048, 1152), "projector/bias": (2048,)}
    ```
    """
    known = sizes(arguments)
    shapes = {}
    for component in components:
        rows = [
            row for row in COMPONENTS[component] if is_used(row[0], arguments)
        ]
        layered = [path for path, _ in rows if "{i}" in path]
        for path, text in rows:
            shape = evaluate_shape(text, known)
            if "{i}" not in path:
                shapes[path] = shape
            elif path == layered[0]:
                shapes.update(_layers(rows, known, path))
    return shapes


def _layers(rows, known, path):
    return {
        pattern.format(i=i): evaluate_shape(text, known)
        for i in range(num_layers(path, known))
        for pattern, text in rows
        if "{i}" in pattern
    }
