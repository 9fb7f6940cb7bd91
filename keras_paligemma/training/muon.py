"""Muon with a schedule for each component."""

import math
import re

import keras
from keras import ops

from keras_paligemma.training.optimizer import ComponentAdam

# Of the odd polynomial that drives singular values towards 1: Jordan et al.,
# https://kellerjordan.github.io/posts/muon.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
# PyTorch runs many small products slowly, others compile them. Kernels of one
# shape are orthogonalised together, up to so many numbers.
STACKS = keras.config.backend() == "torch"
MOST_STACKED = 2**24


class Waiting:
    """Kernels of an update; Keras would track a list that is an attribute."""

    def __init__(self):
        self.kernels = []


@keras.saving.register_keras_serializable(package="keras_paligemma")
class ComponentMuon(ComponentAdam):
    """Muon: the momentum of a kernel, with all its directions made as long.

    Kernels step by an orthogonal matrix near their momentum, so that what is
    rare in the gradients is learned as fast as what is common; everything
    else (embeddings, biases, norms) steps as in Adam. Steps are scaled to the
    size of Adam's (Liu et al., arXiv 2502.16982, section 2.2), so rates and
    schedules carry over.

    ```python
    optimizer = ComponentMuon([("image_encoder/.*", 1e-4), (".*", 1e-3)])
    ```

    Args:
        table: list of (pattern, schedule). See `ComponentOptimizer`.
        momentum: float. Decay of the mean of a kernel's gradients, which is
            looked ahead by one step, as Nesterov's.
        kernel_pattern: string. Regular expression of the paths of kernels;
            such variables of two axes or more are orthogonalised.
        iterations_of_newton_schulz: int. How often the polynomial is applied.
        orthogonal_dtype: string. What it is computed in. bfloat16 is enough,
            for it comes to singular values from 0.7 to 1.2 only.
        update_scale: float. Root mean square of a kernel's step at rate 1.
        **kwargs: Further arguments of `ComponentAdam`, whose betas and
            epsilon are those of the other variables.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        table,
        momentum=0.95,
        kernel_pattern=r"(^|/)kernel$",
        iterations_of_newton_schulz=5,
        orthogonal_dtype="bfloat16",
        update_scale=0.2,
        **kwargs,
    ):
        super().__init__(table, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(
                "`momentum` must be at least 0 and below 1. Received: "
                f"momentum={momentum}"
            )
        if iterations_of_newton_schulz < 1:
            raise ValueError(
                "`iterations_of_newton_schulz` must be 1 or more. Received: "
                f"iterations_of_newton_schulz={iterations_of_newton_schulz}"
            )
        self.momentum = momentum
        self.kernel_pattern = kernel_pattern
        self.iterations_of_newton_schulz = iterations_of_newton_schulz
        self.orthogonal_dtype = orthogonal_dtype
        self.update_scale = update_scale
        self.waiting = Waiting()

    def create_slots(self, variable):
        found = re.search(self.kernel_pattern, variable.path)
        if found and len(variable.shape) > 1:
            return {"mean": self.add_slot(variable, "mean")}
        return super().create_slots(variable)

    def step(self, gradient, slots):
        if "mean" not in slots:
            return super().step(gradient, slots)
        ahead = self.look_ahead(gradient, slots)
        return self.directions([ahead])[0]

    def look_ahead(self, gradient, slots):
        """The next momentum of a kernel, from which its step follows."""
        mean = slots["mean"]
        average = mean + (gradient - mean) * (1 - self.momentum)
        self.assign(mean, average)
        # In the slot's shape: TensorFlow may not know that of a gradient.
        return ops.reshape(
            gradient + (average - gradient) * self.momentum, mean.shape
        )

    def directions(self, kernels):
        """The steps of kernels of one shape, at rate 1."""
        shape = tuple(kernels[0].shape)
        rows, columns = matrix_shape(shape)
        matrices = [ops.reshape(kernel, (rows, columns)) for kernel in kernels]
        stacked = orthogonal(
            ops.stack(matrices),
            self.iterations_of_newton_schulz,
            self.orthogonal_dtype,
        )
        # An orthogonal matrix has a root mean square of 1 / sqrt(longer side).
        size = self.update_scale * math.sqrt(max(rows, columns))
        return [
            size * ops.reshape(stacked[i], shape) for i in range(len(kernels))
        ]

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable, or on PyTorch notes a kernel for later."""
        slots = self.plan.row_of(variable).slots
        # Keras averages and constrains variables before `finish_update`.
        at_once = self.use_ema or variable.constraint is not None
        if "mean" not in slots or at_once or not STACKS:
            super().update_step(gradient, variable, learning_rate)
            return
        ahead = self.look_ahead(ops.cast(gradient, "float32"), slots)
        self.waiting.kernels.append((variable, ahead, learning_rate))

    def apply(self, grads, trainable_variables=None):
        """Updates the variables; see `keras.Optimizer.apply`."""
        # Of an update that was interrupted.
        self.waiting.kernels = []
        super().apply(grads, trainable_variables)

    def finish_update(self):
        """Updates the kernels that wait, those of one shape together."""
        kernels, self.waiting.kernels = self.waiting.kernels, []
        groups = {}
        for kernel in kernels:
            groups.setdefault(tuple(kernel[0].shape), []).append(kernel)
        for shape, group in groups.items():
            count = max(1, MOST_STACKED // math.prod(shape))
            for start in range(0, len(group), count):
                part = group[start : start + count]
                directions = self.directions([ahead for _, ahead, _ in part])
                for (variable, _, rate), direction in zip(
                    part, directions, strict=True
                ):
                    self.move(variable, direction, rate)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "kernel_pattern": self.kernel_pattern,
            "iterations_of_newton_schulz": self.iterations_of_newton_schulz,
            "orthogonal_dtype": self.orthogonal_dtype,
            "update_scale": self.update_scale,
        }


def matrix_shape(shape):
    """Rows and columns of a kernel as a matrix of inputs and outputs.

    Of three axes, as attention has them, one side holds heads and their size
    together, in whichever order makes the matrix closer to a square; of four,
    as convolutions have them, the last axis alone is the outputs.

    Example:

    >>> matrix_shape((192, 6, 32)), matrix_shape((14, 14, 3, 192))
    ((192, 192), (588, 192))
    """
    size = math.prod(shape)
    if len(shape) == 3:
        first, last = (shape[0], size // shape[0]), (size // shape[2], shape[2])
        return min(first, last, key=lambda sides: max(sides) / min(sides))
    return size // shape[-1], shape[-1]


def orthogonal(matrix, iterations=5, dtype="float32"):
    """The nearly orthogonal matrix next to a given one, by Newton-Schulz.

    Args:
        matrix: float tensor `[..., rows, columns]`.
        iterations: int. Five bring singular values between 1 and 0.01 of the
            matrix's norm to between 0.7 and 1.2.
        dtype: string. What it is computed in.

    Returns:
        float32 tensor of that shape, with the singular vectors of
        `matrix` and singular values about 1; zeros for zeros.
    """
    a, b, c = NEWTON_SCHULZ
    rows, columns = matrix.shape[-2:]
    # The product of the shorter sides is the smaller matrix.
    if rows > columns:
        matrix = ops.swapaxes(matrix, -2, -1)
    matrix = ops.cast(matrix, "float32")
    squares = ops.sum(ops.square(matrix), axis=(-2, -1), keepdims=True)
    matrix = ops.cast(matrix / (ops.sqrt(squares) + 1e-30), dtype)
    for _ in range(iterations):
        gram = ops.matmul(matrix, ops.swapaxes(matrix, -2, -1))
        polynomial = b * gram + c * ops.matmul(gram, gram)
        matrix = a * matrix + ops.matmul(polynomial, matrix)
    if rows > columns:
        matrix = ops.swapaxes(matrix, -2, -1)
    return ops.cast(matrix, "float32")
