"""Freezing the variables that a table of schedules gives `None`."""

from keras_paligemma.training.component_table import check_all_matched
from keras_paligemma.training.component_table import check_all_used
from keras_paligemma.training.component_table import check_rates
from keras_paligemma.training.component_table import first_matches


def freeze(model, table, model_name=None):
    """Makes the variables under a `None` row not trainable.

    The optimizers of this package leave these variables alone in any case;
    after `freeze` not even their gradients are computed. Call it before
    `compile`, which looks at what is trainable, and after `enable_lora`.
    What is frozen already, by LoRA for instance, stays so whatever the
    table says. Keras does not save which single variables are frozen: call
    it again on a loaded model. Setting `trainable` of a layer undoes it.

    ```python
    table = [("image_encoder/.*", None), (".*", 1e-5)]
    frozen = freeze(task, table)
    task.compile(optimizer=ComponentAdam(table))
    task.fit(...)
    thaw(task, frozen)
    ```

    Args:
        model: `keras.Model`, built.
        table: list of (pattern, schedule), as for `ComponentAdam`.
        model_name: string or `None`. As for `ComponentAdam`.

    Returns:
        Tuple of the paths of the variables that were trainable before.

    Raises:
        ValueError: If a trainable variable is under no row, or no variable,
            trainable or not, under one of the rows.
    """
    rows = check_rates(table)
    patterns = [pattern for pattern, _ in rows]
    variables = model.weights
    paths = [variable.path for variable in variables]
    matches = first_matches(patterns, paths, model_name)
    trainable = [v.path for v in variables if v.trainable]
    check_all_matched(
        patterns, trainable, first_matches(patterns, trainable, model_name)
    )
    check_all_used(patterns, paths, matches, model_name)
    frozen = []
    for variable, row in zip(variables, matches, strict=True):
        if row is not None and rows[row][1] is None and variable.trainable:
            variable.trainable = False
            frozen.append(variable.path)
    return tuple(frozen)


def thaw(model, paths):
    """Makes variables trainable again: what `freeze` returned.

    Compile the model again afterwards, with a new optimizer.

    Args:
        model: `keras.Model`.
        paths: Collection of strings. Paths of variables of the model.

    Raises:
        ValueError: If the model has no variable of such a path; nothing is
            changed then.
    """
    by_path = {variable.path: variable for variable in model.weights}
    missing = [path for path in paths if path not in by_path]
    if missing:
        raise ValueError(
            "`paths` must be paths of the model's variables, as `freeze` "
            f"returned them. Received: paths that it lacks: {missing}"
        )
    for path in paths:
        by_path[path].trainable = True
