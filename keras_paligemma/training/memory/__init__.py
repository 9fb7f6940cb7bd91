"""What memory a training run needs, before it is started."""

from keras_paligemma.training.memory.estimate import CARDS
from keras_paligemma.training.memory.estimate import MemoryEstimate
from keras_paligemma.training.memory.estimate import estimate_memory
from keras_paligemma.training.memory.estimate import largest_batch
from keras_paligemma.training.memory.settings import MemorySettings

__all__ = [
    "CARDS",
    "MemoryEstimate",
    "MemorySettings",
    "estimate_memory",
    "largest_batch",
]
