"""Building blocks: pure functions, and thin Keras layers over them."""

from keras_paligemma.layers.decoder import Decoder
from keras_paligemma.layers.dense import TransposedDense
from keras_paligemma.layers.image_encoder_block import ImageEncoderBlock
from keras_paligemma.layers.initialization import initialize_with
from keras_paligemma.layers.response_accuracy import ResponseAccuracy
from keras_paligemma.layers.response_crossentropy import ResponseCrossentropy
from keras_paligemma.layers.token_embedding import TokenEmbedding

__all__ = [
    "Decoder",
    "ImageEncoderBlock",
    "ResponseAccuracy",
    "ResponseCrossentropy",
    "TokenEmbedding",
    "TransposedDense",
    "initialize_with",
]
