"""A drawn world with exact truth for all seven tasks."""

from keras_paligemma.data.synthetic.captions import write_caption
from keras_paligemma.data.synthetic.colours import COLOURS
from keras_paligemma.data.synthetic.language_tables import LANGUAGES
from keras_paligemma.data.synthetic.language_tables import QUESTION_KINDS
from keras_paligemma.data.synthetic.mixture import TRAINED_LANGUAGES
from keras_paligemma.data.synthetic.mixture import synthetic_mixture
from keras_paligemma.data.synthetic.phrases import colour_name
from keras_paligemma.data.synthetic.phrases import noun_phrase
from keras_paligemma.data.synthetic.questions import answer_question
from keras_paligemma.data.synthetic.questions import is_valid_question
from keras_paligemma.data.synthetic.records import SyntheticRecord
from keras_paligemma.data.synthetic.scene import PlacedObject
from keras_paligemma.data.synthetic.scene import PlacedWord
from keras_paligemma.data.synthetic.scene import Scene
from keras_paligemma.data.synthetic.shapes import KINDS
from keras_paligemma.data.synthetic.words import SCRIPTS
from keras_paligemma.data.synthetic.world import SyntheticTask
from keras_paligemma.data.synthetic.world import SyntheticWorld

__all__ = [
    "COLOURS",
    "KINDS",
    "LANGUAGES",
    "QUESTION_KINDS",
    "SCRIPTS",
    "TRAINED_LANGUAGES",
    "PlacedObject",
    "PlacedWord",
    "Scene",
    "SyntheticRecord",
    "SyntheticTask",
    "SyntheticWorld",
    "answer_question",
    "colour_name",
    "is_valid_question",
    "noun_phrase",
    "synthetic_mixture",
    "write_caption",
]
