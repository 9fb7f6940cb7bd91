"""The model: image encoder, backbone, task head, decoding, presets."""

from keras_paligemma.models.backbone import COMPONENTS
from keras_paligemma.models.backbone import PaliGemmaBackbone
from keras_paligemma.models.causal_lm import PaliGemmaCausalLM
from keras_paligemma.models.distributions import data_parallel
from keras_paligemma.models.distributions import fully_sharded
from keras_paligemma.models.distributions import tensor_parallel
from keras_paligemma.models.image_encoder import ImageEncoder
from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor
from keras_paligemma.preprocessing import PaliGemmaImageConverter
from keras_paligemma.preprocessing import PaliGemmaTokenizer

# Keras-Hub finds the classes that belong together by this attribute.
for _cls in (
    PaliGemmaCausalLMPreprocessor,
    PaliGemmaImageConverter,
    PaliGemmaTokenizer,
):
    _cls.backbone_cls = PaliGemmaBackbone

__all__ = [
    "COMPONENTS",
    "ImageEncoder",
    "PaliGemmaBackbone",
    "PaliGemmaCausalLM",
    "data_parallel",
    "fully_sharded",
    "tensor_parallel",
]
