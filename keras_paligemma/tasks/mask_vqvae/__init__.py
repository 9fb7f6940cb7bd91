"""The mask codec: a VQ-VAE for 64 by 64 masks, and its shipped weights."""

from keras_paligemma.tasks.mask_vqvae.mask_vqvae import MaskVQVAE
from keras_paligemma.tasks.mask_vqvae.mask_vqvae import mask_loss
from keras_paligemma.tasks.mask_vqvae.published import load_mask_codec
from keras_paligemma.tasks.mask_vqvae.published import save_mask_codec
from keras_paligemma.tasks.mask_vqvae.vector_quantizer import VectorQuantizer

__all__ = [
    "MaskVQVAE",
    "VectorQuantizer",
    "load_mask_codec",
    "mask_loss",
    "save_mask_codec",
]
