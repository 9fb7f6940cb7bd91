"""Which source comes at which index of a mixture, in closed form."""

import operator

# Weights are rounded to this many parts of their sum.
_RESOLUTION = 2**30
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def integer_weights(weights):
    """Turns positive weights into integers of the same ratios.

    Args:
        weights: sequence of float.

    Returns:
        tuple of int, each at least 1.

    Example:

    ```python
    integer_weights([3.0, 1.0])  # (805306368, 268435456)
    ```
    """
    total = float(sum(weights))
    return tuple(
        max(1, round(weight / total * _RESOLUTION)) for weight in weights
    )


def count_by_source(num_examples, weights):
    """How often each source comes among the first examples of a mixture.

    The sources split the indices one after the other: of `n` left, the first
    of the sources left gets those at which `n * (1 - share)`, rounded down,
    does not grow. It is the rule of `grain.MapDataset.mix`, and no count is
    further than the number of sources from its exact share.

    Args:
        num_examples: int.
        weights: tuple of int, from `integer_weights`.

    Returns:
        list of int, whose sum is `num_examples`.

    Example:

    ```python
    count_by_source(10, (3, 1))  # [8, 2]
    ```
    """
    counts = []
    remaining_weight = sum(weights)
    remaining = num_examples
    for weight in weights:
        others = remaining * (remaining_weight - weight) // remaining_weight
        counts.append(remaining - others)
        remaining_weight -= weight
        remaining = others
    return counts


def select(index, weights):
    """The source at an index of a mixture, and how often it came before.

    Args:
        index: int.
        weights: tuple of int, from `integer_weights`.

    Returns:
        A pair of int: the position of the source, and the number of times
        that it stands at smaller indices.

    Example:

    ```python
    [select(i, (3, 1)) for i in range(4)]
    # [(0, 0), (0, 1), (0, 2), (1, 0)]
    ```
    """
    remaining_weight = sum(weights)
    before, after = index, index + 1
    for position, weight in enumerate(weights[:-1]):
        rest = remaining_weight - weight
        others_before = before * rest // remaining_weight
        others_after = after * rest // remaining_weight
        if others_before == others_after:
            return position, before - others_before
        remaining_weight = rest
        before, after = others_before, others_after
    return len(weights) - 1, before


def mix_bits(*numbers):
    """A number of 64 bits that looks random, from non-negative numbers.

    It is the same in every process and version, unlike `hash`.

    Args:
        *numbers: int.

    Returns:
        int in [0, 2**64).
    """
    state = 0
    for number in numbers:
        state = (state + (number & _MASK) * _GOLDEN + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def shard_index(index, process_index, process_count, seed=0):
    """The index in the whole mixture of an index in one process's share.

    Each run of `process_count` indices has one for each process, in an order
    drawn anew for each run: fixed strides would fall in step with the weights
    (two sources of one weight, two processes: one source each).

    Args:
        index: int. In the share of the process.
        process_index, process_count: int.
        seed: int.

    Returns:
        int.

    Example:

    ```python
    [shard_index(i, 0, 2) for i in range(4)]  # one of each pair
    [shard_index(i, 1, 2) for i in range(4)]  # the other one
    ```
    """
    turn = mix_bits(seed, index) % process_count
    return index * process_count + (process_index + turn) % process_count


def check_index(value, name):
    """Turns a number into an int; raises unless it is 0 or more.

    Args:
        value: int, or a NumPy integer.
        name: str. What errors call it.

    Returns:
        int.

    Raises:
        ValueError: If it is no integer, or negative.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(
            f"`{name}` must be an integer of at least 0. Received: "
            f"{name}={value!r}"
        )
    return number
