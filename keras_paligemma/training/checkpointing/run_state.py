"""All that a run's next step follows from: variables and random states."""

import base64
import random
import re

import keras
import numpy as np

from keras_paligemma.training.processes import gather

RESTART = (
    "Resume with the model, the stage and the optimizer that the run began "
    "with, or give a new directory."
)


def run_variables(model):
    """The variables of a compiled model and its optimizer, by name.

    Seeds of dropout are among them; metrics are not, as `fit` resets them at
    the beginning of each epoch.

    Args:
        model: `keras.Model`, compiled.

    Returns:
        dict of string to `keras.Variable`. Names begin with `model/` or
        `optimizer/`.

    Raises:
        ValueError: If the model is not compiled.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise ValueError(
            "A checkpoint of a run holds the optimizer's state too: call "
            f"`compile` with an optimizer first. Received: model={model.name}, "
            "not compiled"
        )
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    own = [v for v in model.variables if id(v) not in metrics]
    named = {}
    for prefix, variables in (
        ("model", own),
        ("optimizer", optimizer.variables),
    ):
        for variable in variables:
            name = f"{prefix}/{stable_path(variable.path, prefix)}"
            while name in named:
                # Keras does not promise that paths differ.
                name = f"{name}+"
            named[name] = variable
    return named


def stable_path(path, prefix):
    """A path without the numbers that Keras gives a process's second one."""
    if prefix == "optimizer":
        return path.partition("/")[2] or path
    return re.sub(r"seed_generator_\d+", "seed_generator", path)


def read_variables(variables):
    """Copies of the values, which training does not overwrite.

    Args:
        variables: dict of name to `keras.Variable`.

    Returns:
        dict of name to NumPy array of one dimension or more, for Orbax
        would give back Python's numbers for others; of a variable that is
        spread over several processes, the `jax.Array`.
    """
    return {name: _value(variable) for name, variable in variables.items()}


def _value(variable):
    value = variable.value
    if not getattr(value, "is_fully_addressable", True):
        return value
    return np.atleast_1d(np.array(gather(value), copy=True))


def check_arrays(variables, shapes):
    """Raises a `ValueError` unless arrays fit the variables one by one.

    Args:
        variables: dict of name to `keras.Variable`.
        shapes: dict of name to shape.
    """
    missing = sorted(set(variables) - set(shapes))
    spare = sorted(set(shapes) - set(variables))
    if missing or spare:
        raise ValueError(
            "The checkpoint is of another model or optimizer. Received: "
            f"{len(missing)} variables that it lacks {missing[:3]}, "
            f"{len(spare)} that the model lacks {spare[:3]}. {RESTART}"
        )
    for name, variable in variables.items():
        shape = tuple(variable.shape) or (1,)
        if (tuple(shapes[name]) or (1,)) != shape:
            raise ValueError(
                f"The checkpoint holds {name} with shape "
                f"{tuple(shapes[name])}; the model has {shape}. {RESTART}"
            )


def assign_variables(variables, arrays):
    """Writes values, as `read_variables` gave them, into variables."""
    check_arrays(variables, {k: np.shape(a) for k, a in arrays.items()})
    for name, variable in variables.items():
        variable.assign(np.reshape(arrays[name], tuple(variable.shape)))


def random_state():
    """The states of all global random generators, as JSON can hold them."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        "python": [version, list(numbers), gauss],
        "numpy": [kind, keys.tolist(), position, has_gauss, cached],
    }
    if keras.backend.backend() == "torch":
        import torch

        packed = torch.get_rng_state().numpy().tobytes()
        state["torch"] = base64.b64encode(packed).decode()
    return state


def set_random_state(state):
    """Takes back what `random_state` gave."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(
        (kind, np.array(keys, "uint32"), position, has_gauss, cached)
    )
    if "torch" in state and keras.backend.backend() == "torch":
        import torch

        packed = np.frombuffer(base64.b64decode(state["torch"]), "uint8")
        torch.set_rng_state(torch.from_numpy(packed.copy()))
