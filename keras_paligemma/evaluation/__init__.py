"""What a model makes of data: measures, and pictures of its predictions."""

from keras_paligemma.evaluation.evaluating import Evaluation
from keras_paligemma.evaluation.evaluating import evaluate
from keras_paligemma.evaluation.evaluators import EVALUATORS
from keras_paligemma.evaluation.evaluators import MAIN_METRICS
from keras_paligemma.evaluation.evaluators import make_evaluator
from keras_paligemma.evaluation.object_drawing import draw_objects
from keras_paligemma.evaluation.prediction_pictures import contact_sheet
from keras_paligemma.evaluation.prediction_pictures import prediction_picture
from keras_paligemma.evaluation.prediction_pictures import save_picture

__all__ = [
    "EVALUATORS",
    "Evaluation",
    "MAIN_METRICS",
    "contact_sheet",
    "draw_objects",
    "evaluate",
    "make_evaluator",
    "prediction_picture",
    "save_picture",
]
