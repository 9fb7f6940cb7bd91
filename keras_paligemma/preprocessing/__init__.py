"""From images and texts to the arrays that the model reads, and back."""

from keras_paligemma.preprocessing.image_converter import (
    PaliGemmaImageConverter,
)
from keras_paligemma.preprocessing.image_loading import load_image
from keras_paligemma.preprocessing.image_resizing import resize_image
from keras_paligemma.preprocessing.location_tokens import LOCATION_TOKENS
from keras_paligemma.preprocessing.location_tokens import SEGMENTATION_TOKENS
from keras_paligemma.preprocessing.location_tokens import (
    add_location_and_segmentation_tokens,
)
from keras_paligemma.preprocessing.packer import PackedSequence
from keras_paligemma.preprocessing.packer import pack
from keras_paligemma.preprocessing.preprocessor import (
    PaliGemmaCausalLMPreprocessor,
)
from keras_paligemma.preprocessing.tokenizer import PaliGemmaTokenizer
from keras_paligemma.preprocessing.vocabulary import train_sentencepiece

__all__ = [
    "LOCATION_TOKENS",
    "SEGMENTATION_TOKENS",
    "PackedSequence",
    "PaliGemmaCausalLMPreprocessor",
    "PaliGemmaImageConverter",
    "PaliGemmaTokenizer",
    "add_location_and_segmentation_tokens",
    "load_image",
    "pack",
    "resize_image",
    "train_sentencepiece",
]
