"""Finds, and changes, the rates by component of a compiled model."""

from keras_paligemma.training.component_table import check_all_matched
from keras_paligemma.training.component_table import check_all_used
from keras_paligemma.training.component_table import first_matches
from keras_paligemma.training.component_table import peak_rate
from keras_paligemma.training.optimizer import ComponentOptimizer


def inner_optimizer(model):
    """The optimizer that has the rate: within the one that scales the loss."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def component_optimizer(model):
    """The built `ComponentOptimizer` of a model.

    Raises:
        ValueError: If it was compiled with another.
    """
    optimizer = inner_optimizer(model)
    if not isinstance(optimizer, ComponentOptimizer):
        raise ValueError(
            "A component has a rate of its own only in `ComponentAdam` "
            'and `ComponentAdafactor`: compile with `ComponentAdam([(".*",'
            f" rate)])`. Received: optimizer={type(optimizer).__name__}"
        )
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return optimizer


def set_rates(model, table):
    """Gives the optimizer of a compiled model another table of rates.

    Its slots and its step stay. Decay that goes by the share of a schedule's
    peak goes by the new one's.

    Args:
        model: `keras.Model`, compiled with a `ComponentOptimizer`.
        table: tuple of (pattern, schedule), as `check_rates` returns it.

    Raises:
        ValueError: If the optimizer has no table, a variable is not matched,
            a pattern matches none, or the table freezes what is trained or
            trains what is frozen.
    """
    plan = component_optimizer(model).plan
    if plan.table == table:
        return
    patterns = [pattern for pattern, _ in table]
    paths = [row.variable.path for row in plan.rows]
    indices = first_matches(patterns, paths, plan.model_name)
    check_all_matched(patterns, paths, indices)
    unused = [i for i, (_, schedule) in enumerate(table) if schedule is None]
    check_all_used(patterns, paths, indices, plan.model_name, unused)
    for row, index in zip(plan.rows, indices, strict=True):
        if (table[index][1] is None) != row.frozen:
            raise ValueError(
                "A table given later cannot freeze what the optimizer trains, "
                "nor train what it froze, for which it has no state: compile "
                f"with that table instead. Received: {row.variable.path}, "
                f"{'frozen' if row.frozen else 'trained'} until now, under "
                f"{table[index]}"
            )
    decays = [
        _decay(plan, row, table[index][1])
        for row, index in zip(plan.rows, indices, strict=True)
    ]
    for row, index, decay in zip(plan.rows, indices, decays, strict=True):
        row.index, row.decay = index, decay
    plan.table = table
    # One traced before has the old rates in it.
    model.make_train_function(force=True)


def _decay(plan, row, schedule):
    if not row.decay or plan.decay_times_rate:
        return row.decay
    old = peak_rate(plan.table[row.index][1])
    return row.decay * old / peak_rate(schedule)
