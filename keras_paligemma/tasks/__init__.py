"""The seven tasks: text <-> typed results, and the grammar of outputs."""

from keras_paligemma.tasks.answer import Answer
from keras_paligemma.tasks.box import Box
from keras_paligemma.tasks.box_formats import BOX_FORMATS
from keras_paligemma.tasks.box_formats import convert_boxes
from keras_paligemma.tasks.caption import Caption
from keras_paligemma.tasks.detect import Detect
from keras_paligemma.tasks.grammar import Grammar
from keras_paligemma.tasks.grammar import stack_grammars
from keras_paligemma.tasks.grammar_building import build_grammar
from keras_paligemma.tasks.grounded_caption import GroundedCaption
from keras_paligemma.tasks.languages import LANGUAGES
from keras_paligemma.tasks.languages import check_language
from keras_paligemma.tasks.locations import decode_locations
from keras_paligemma.tasks.locations import encode_locations
from keras_paligemma.tasks.locations import read_locations
from keras_paligemma.tasks.locations import write_locations
from keras_paligemma.tasks.mask import Mask
from keras_paligemma.tasks.mask_crops import crop_mask
from keras_paligemma.tasks.mask_crops import mask_edges
from keras_paligemma.tasks.mask_crops import paste_mask
from keras_paligemma.tasks.mask_formats import mask_to_polygons
from keras_paligemma.tasks.mask_formats import mask_to_rle
from keras_paligemma.tasks.mask_formats import polygons_to_mask
from keras_paligemma.tasks.mask_formats import rle_to_mask
from keras_paligemma.tasks.ocr import OCR
from keras_paligemma.tasks.problems import PROBLEM_KINDS
from keras_paligemma.tasks.problems import Problem
from keras_paligemma.tasks.question import Question
from keras_paligemma.tasks.results import Detections
from keras_paligemma.tasks.results import Segmentations
from keras_paligemma.tasks.segment import Segment
from keras_paligemma.tasks.supervision_detections import from_supervision
from keras_paligemma.tasks.supervision_detections import to_supervision
from keras_paligemma.tasks.table import TASKS
from keras_paligemma.tasks.table import task_of
from keras_paligemma.tasks.task import Task

__all__ = [
    "Answer",
    "BOX_FORMATS",
    "Box",
    "Caption",
    "Detect",
    "Detections",
    "Grammar",
    "GroundedCaption",
    "LANGUAGES",
    "Mask",
    "OCR",
    "PROBLEM_KINDS",
    "Problem",
    "Question",
    "Segment",
    "Segmentations",
    "TASKS",
    "Task",
    "build_grammar",
    "check_language",
    "convert_boxes",
    "crop_mask",
    "decode_locations",
    "encode_locations",
    "from_supervision",
    "mask_edges",
    "mask_to_polygons",
    "mask_to_rle",
    "paste_mask",
    "polygons_to_mask",
    "read_locations",
    "rle_to_mask",
    "stack_grammars",
    "task_of",
    "to_supervision",
    "write_locations",
]
