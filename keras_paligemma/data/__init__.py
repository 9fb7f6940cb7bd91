"""Records, readers, mixtures, augmentation and video."""

from keras_paligemma.data.augmentation import Augmentation
from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.reader_processes import ReaderProcesses
from keras_paligemma.data.reading import read_batches
from keras_paligemma.data.record import Record
from keras_paligemma.data.records import read_coco_captions
from keras_paligemma.data.records import read_coco_detection
from keras_paligemma.data.records import read_coco_instances
from keras_paligemma.data.records import read_columns
from keras_paligemma.data.records import read_folder
from keras_paligemma.data.records import read_jsonl
from keras_paligemma.data.records import read_vqa
from keras_paligemma.data.records import read_webdataset
from keras_paligemma.data.scene_object import SceneObject
from keras_paligemma.data.source import Source
from keras_paligemma.data.video import read_frames
from keras_paligemma.data.video import video_record

__all__ = [
    "Augmentation",
    "Mixture",
    "ReaderProcesses",
    "Record",
    "SceneObject",
    "Source",
    "read_batches",
    "read_coco_captions",
    "read_coco_detection",
    "read_coco_instances",
    "read_columns",
    "read_folder",
    "read_frames",
    "read_jsonl",
    "read_vqa",
    "read_webdataset",
    "video_record",
]
