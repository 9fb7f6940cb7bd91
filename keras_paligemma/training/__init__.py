"""Training as `compile` and `fit` take it: optimizers, stages, recipes."""

from keras_paligemma.training.adafactor import ComponentAdafactor
from keras_paligemma.training.compiling import compile_for_stage
from keras_paligemma.training.compiling import stage_optimizer
from keras_paligemma.training.durations import duration_to_steps
from keras_paligemma.training.durations import exact_steps
from keras_paligemma.training.freezing import freeze
from keras_paligemma.training.freezing import thaw
from keras_paligemma.training.muon import ComponentMuon
from keras_paligemma.training.optimizer import ComponentAdam
from keras_paligemma.training.rate_functions import constant_rate
from keras_paligemma.training.rate_functions import cosine_rate
from keras_paligemma.training.rate_functions import linear_rate
from keras_paligemma.training.rate_functions import next_rsqrt_shift
from keras_paligemma.training.rate_functions import rsqrt_rate
from keras_paligemma.training.rate_settings import RateSettings
from keras_paligemma.training.recipes import fallback_recipe
from keras_paligemma.training.recipes import recipe
from keras_paligemma.training.recipes import recipe_names
from keras_paligemma.training.run import train
from keras_paligemma.training.schedules import ConstantSchedule
from keras_paligemma.training.schedules import CosineSchedule
from keras_paligemma.training.schedules import LinearSchedule
from keras_paligemma.training.schedules import RsqrtSchedule
from keras_paligemma.training.stages import STAGE_1
from keras_paligemma.training.stages import STAGE_2_448
from keras_paligemma.training.stages import STAGE_2_896
from keras_paligemma.training.stages import Stage
from keras_paligemma.training.tiny_stages import tiny_stages
from keras_paligemma.training.training_batches import TrainingBatches
from keras_paligemma.training.variants import stage_for_variant
from keras_paligemma.training.variants import transfer_rate

__all__ = [
    "ComponentAdafactor",
    "ComponentAdam",
    "ComponentMuon",
    "ConstantSchedule",
    "CosineSchedule",
    "LinearSchedule",
    "RateSettings",
    "RsqrtSchedule",
    "STAGE_1",
    "STAGE_2_448",
    "STAGE_2_896",
    "Stage",
    "TrainingBatches",
    "compile_for_stage",
    "constant_rate",
    "cosine_rate",
    "duration_to_steps",
    "exact_steps",
    "fallback_recipe",
    "freeze",
    "linear_rate",
    "next_rsqrt_shift",
    "recipe",
    "recipe_names",
    "rsqrt_rate",
    "stage_for_variant",
    "stage_optimizer",
    "thaw",
    "tiny_stages",
    "train",
    "transfer_rate",
]
