"""What a model makes of data: pictures of its predictions."""

from keras_paligemma.evaluation.object_drawing import draw_objects
from keras_paligemma.evaluation.prediction_pictures import contact_sheet
from keras_paligemma.evaluation.prediction_pictures import prediction_picture
from keras_paligemma.evaluation.prediction_pictures import save_picture

__all__ = [
    "contact_sheet",
    "draw_objects",
    "prediction_picture",
    "save_picture",
]
