"""The one record type, and a reader for each format of data sets."""

from keras_paligemma.data.readers.coco import read_coco_captions
from keras_paligemma.data.readers.coco import read_coco_detection
from keras_paligemma.data.readers.coco import read_coco_instances
from keras_paligemma.data.readers.columns import read_columns
from keras_paligemma.data.readers.folder import read_folder
from keras_paligemma.data.readers.jsonl import read_jsonl
from keras_paligemma.data.readers.vqa import read_vqa
from keras_paligemma.data.readers.webdataset import read_webdataset
from keras_paligemma.data.record import Record
from keras_paligemma.data.scene_object import SceneObject

__all__ = [
    "Record",
    "SceneObject",
    "read_coco_captions",
    "read_coco_detection",
    "read_coco_instances",
    "read_columns",
    "read_folder",
    "read_jsonl",
    "read_vqa",
    "read_webdataset",
]
