"""Small stand-ins for the big things: a tokenizer model and photographs.

Plain functions, so that benchmarks and examples can use them as well as the
fixtures of `conftest.py` do.
"""

import functools

import numpy as np
import skimage.data
from sklearn.datasets import load_sample_image

CAPTIONS = (
    "A cat lies on a couch and looks into the camera.",
    "An astronaut in an orange suit smiles before a flag.",
    "A cup of coffee stands on a wooden table, with a spoon.",
    "A white rocket stands on the launch pad before dawn.",
    "A Chinese temple under a blue sky, with red pillars.",
    "A pink flower, a dahlia, in front of green leaves.",
    "Two dogs run over the grass; one of them carries a stick.",
    "caption en",
    "caption de",
    "answer en how many dogs are there?",
    "answer en what colour is the sky?",
    "detect cat ; dog ; cup of coffee",
    "segment rocket ; flower",
    "question en blue",
    "ocr",
    "0123456789 (10 %) + - * / = ' \" ! : _",
    "Eine Katze liegt auf dem Sofa und schaut in die Kamera.",
)


@functools.cache
def tiny_sentencepiece_proto(vocabulary_size=400):
    """Trains a raw Gemma-like SentencePiece model, without <loc> and <seg>.

    Args:
        vocabulary_size: int. The number of pieces.

    Returns:
        bytes. The serialized model, the same in every run.
    """
    # Here and not above: benchmarks choose their backend first.
    from keras_paligemma.preprocessing import train_sentencepiece

    return train_sentencepiece(CAPTIONS * 4, vocabulary_size)


def photographs(size=(60, 80)):
    """Returns crops of the photographs that need no download.

    Args:
        size: tuple of int. The height and width of each crop.

    Returns:
        A dict of name to uint8 array `[height, width, 3]`.
    """
    sources = {
        "astronaut": skimage.data.astronaut(),
        "cat": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "temple": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }
    crops = {}
    for name, image in sources.items():
        top = (image.shape[0] - size[0]) // 2
        left = (image.shape[1] - size[1]) // 2
        crop = image[top : top + size[0], left : left + size[1]]
        crops[name] = np.ascontiguousarray(crop)
    return crops
