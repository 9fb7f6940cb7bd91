"""Callbacks for `fit`: what is logged, looked at, watched and kept."""

from keras_paligemma.training.callbacks.step_callback import (
    StepCallback as StepCallback,
)
from keras_paligemma.training.callbacks.training_checkpoint import (
    TrainingCheckpoint as TrainingCheckpoint,
)
