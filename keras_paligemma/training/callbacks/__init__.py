"""Callbacks for `fit`: what is logged, looked at, watched and kept."""

from keras_paligemma.training.callbacks.component_rates import ComponentRates
from keras_paligemma.training.callbacks.component_warmup import ComponentWarmup
from keras_paligemma.training.callbacks.examples_seen import ExamplesSeen
from keras_paligemma.training.callbacks.json_log import JSONLog
from keras_paligemma.training.callbacks.periodic_evaluation import (
    PeriodicEvaluation,
)
from keras_paligemma.training.callbacks.prediction_pictures import (
    PredictionPictures,
)
from keras_paligemma.training.callbacks.progress_bar import ProgressBar
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.callbacks.stop_on_non_finite import (
    StopOnNonFinite,
)
from keras_paligemma.training.callbacks.tensorboard_logs import TensorBoardLogs
from keras_paligemma.training.callbacks.text_samples import TextSamples
from keras_paligemma.training.callbacks.throughput import Throughput
from keras_paligemma.training.callbacks.training_checkpoint import (
    TrainingCheckpoint,
)

__all__ = [
    "ComponentRates",
    "ComponentWarmup",
    "ExamplesSeen",
    "JSONLog",
    "PeriodicEvaluation",
    "PredictionPictures",
    "ProgressBar",
    "StepCallback",
    "StopOnNonFinite",
    "TensorBoardLogs",
    "TextSamples",
    "Throughput",
    "TrainingCheckpoint",
]
