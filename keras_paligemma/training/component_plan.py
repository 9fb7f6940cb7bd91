"""What the tables of an optimizer say of each variable it is built with."""

import dataclasses
import re

import keras

from keras_paligemma.training.component_table import check_all_matched
from keras_paligemma.training.component_table import check_all_used
from keras_paligemma.training.component_table import check_decays
from keras_paligemma.training.component_table import check_rates
from keras_paligemma.training.component_table import first_matches
from keras_paligemma.training.component_table import peak_rate
from keras_paligemma.training.schedules import WarmedUpSchedule

# What a weight decay given as a number touches: big_vision decays everything
# called `kernel`, and Gemma's weights have other names there.
PUBLISHED_DECAY_PATTERN = r"image_encoder/(.*/)?kernel|projector/kernel"


@dataclasses.dataclass(eq=False)
class VariablePlan:
    """How one variable is trained.

    Attributes:
        variable: `keras.Variable`.
        index: int. Its row of the table of schedules.
        frozen: bool.
        decay: float. What the rate is multiplied by to give the share of
            the variable that is lost in an update.
        slots: dict of name to optimizer variable.
    """

    variable: keras.Variable
    index: int
    frozen: bool
    decay: float
    slots: dict = dataclasses.field(default_factory=dict)


class ComponentPlan:
    """The tables of an optimizer, resolved for its variables.

    A plain object, for Keras and TensorFlow wrap and track the lists and
    dicts that are attributes of an optimizer.

    Args:
        table: list of (pattern, schedule). As for `ComponentOptimizer`.
        weight_decay: float, list of (pattern, float), or `None`.
        decay_times_rate: bool.
        model_name: string or `None`.
    """

    def __init__(self, table, weight_decay, decay_times_rate, model_name):
        self.table = check_rates(table)
        self.weight_decay = weight_decay
        if weight_decay is None:
            self.decays = ()
        elif isinstance(weight_decay, (int, float)):
            self.decays = check_decays(
                [(PUBLISHED_DECAY_PATTERN, weight_decay)]
            )
        else:
            self.decays = check_decays(weight_decay)
        self.decay_times_rate = decay_times_rate
        self.model_name = model_name
        self.rows = []
        # The rate of each row of the table, while an update is under way.
        self.rates = None
        self._row_by_identity = {}

    def resolve(self, variables):
        """Finds the row of every variable; returns those to be trained."""
        paths = [variable.path for variable in variables]
        schedules = self._matches(self.table, paths)
        # Variables frozen before are not among these.
        frozen = [
            index
            for index, (_, schedule) in enumerate(self.table)
            if schedule is None
        ]
        patterns = [pattern for pattern, _ in self.table]
        check_all_matched(patterns, paths, schedules)
        check_all_used(patterns, paths, schedules, self.model_name, frozen)
        decays = self._matches(self.decays, paths)
        if not isinstance(self.weight_decay, (int, float)):
            # A decay of 0 spares variables, whether they are there or not.
            check_all_used(
                [pattern for pattern, _ in self.decays],
                paths,
                decays,
                self.model_name,
                [i for i, (_, decay) in enumerate(self.decays) if not decay],
            )
        self.rows = [
            self._row(variable, *row)
            for variable, *row in zip(variables, schedules, decays, strict=True)
        ]
        self._row_by_identity = {
            identity: row
            for row in self.rows
            for identity in _identities(row.variable)
        }
        return [row.variable for row in self.rows if not row.frozen]

    def warm_up(self, component, warmup_steps):
        """Puts a linear warm-up in front of the rates of one component.

        Args:
            component: string. The component whose variables are meant.
            warmup_steps: int.

        Returns:
            Whether anything changed: not if it was done before.

        Raises:
            ValueError: If no variable of the component is trained, or its
                variables stand under several rows of the table.
        """
        pattern = rf"^(.*/)?{component}/.*"
        rows = [
            row
            for row in self.rows
            if not row.frozen and re.fullmatch(pattern, row.variable.path)
        ]
        indices = {row.index for row in rows}
        if len(indices) != 1:
            under = [self.table[index][0] for index in sorted(indices)]
            raise ValueError(
                "The variables to warm up must be trained, and stand under "
                "one row of the table of rates. Received: "
                f"component={component}, under {under}"
            )
        (index,) = indices
        schedule = self.table[index][1]
        warmed_up = WarmedUpSchedule(schedule, warmup_steps)
        if (
            isinstance(schedule, WarmedUpSchedule)
            and self.table[index][0] == pattern
            and schedule.warmup_steps == warmup_steps
        ):
            return False
        self.table = ((pattern, warmed_up), *self.table)
        for row in self.rows:
            row.index += 1
        for row in rows:
            row.index = 0
        return True

    def row_of(self, variable):
        """The `VariablePlan` of a variable, or of TensorFlow's below it."""
        return self._row_by_identity[id(variable)]

    def without_frozen(self, items, variables=None):
        """Leaves out what belongs to frozen variables.

        Args:
            items: list. One for each of `variables`; where that is `None`,
                for each variable of the plan, or only each trained one.
            variables: list of variables or `None`.
        """
        items = list(items)
        if variables is None:
            if len(items) != len(self.rows):
                return items
            frozen = [row.frozen for row in self.rows]
        else:
            rows = [self._row_by_identity.get(id(v)) for v in variables]
            # Keras names those that it does not know.
            frozen = [row is not None and row.frozen for row in rows]
        return [
            item
            for item, leave_out in zip(items, frozen, strict=True)
            if not leave_out
        ]

    def get_config(self):
        """The arguments, so that JSON can hold them."""
        return {
            "table": [
                [
                    pattern,
                    keras.saving.serialize_keras_object(schedule)
                    if callable(schedule)
                    else schedule,
                ]
                for pattern, schedule in self.table
            ],
            "weight_decay": self.weight_decay
            if self.weight_decay is None
            or isinstance(self.weight_decay, (int, float))
            else [list(row) for row in self.decays],
            "decay_times_rate": self.decay_times_rate,
            "model_name": self.model_name,
        }

    def _matches(self, table, paths):
        patterns = [pattern for pattern, _ in table]
        return first_matches(patterns, paths, self.model_name)

    def _row(self, variable, index, decay_index):
        schedule = self.table[index][1]
        frozen = schedule is None
        decay = 0.0
        if not frozen and decay_index is not None:
            decay = self.decays[decay_index][1]
        if decay and not self.decay_times_rate:
            decay = decay / peak_rate(schedule)
        return VariablePlan(variable, index, frozen, decay)


def _identities(variable):
    """Identities of what stands for a variable in `update_step`."""
    yield id(variable)
    if keras.backend.backend() == "tensorflow":
        # There Keras hands over TensorFlow's variables; of one that is
        # mirrored over devices, the one of each device.
        import tensorflow as tf

        yield id(variable.value)
        strategy = tf.distribute.get_strategy()
        for part in strategy.experimental_local_results(variable.value):
            yield id(part)
