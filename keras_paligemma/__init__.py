"""PaliGemma on Keras 3: the model, and the system that trains it."""

# The model
# Its training loss and metric
from keras_paligemma.layers import ResponseAccuracy
from keras_paligemma.layers import ResponseCrossentropy
from keras_paligemma.models import PaliGemmaBackbone
from keras_paligemma.models import PaliGemmaCausalLM

# From images and text to its inputs, and back
from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor
from keras_paligemma.preprocessing import PaliGemmaImageConverter
from keras_paligemma.preprocessing import PaliGemmaTokenizer

# The seven tasks as methods over it
from keras_paligemma.vision_tasks import PaliGemmaTasks

__all__ = [
    "PaliGemmaBackbone",
    "PaliGemmaCausalLM",
    "PaliGemmaCausalLMPreprocessor",
    "PaliGemmaImageConverter",
    "PaliGemmaTasks",
    "PaliGemmaTokenizer",
    "ResponseAccuracy",
    "ResponseCrossentropy",
]
