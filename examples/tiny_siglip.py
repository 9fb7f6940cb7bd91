"""Stage 0 of the tiny PaliGemma: its SigLIP.

Keras-Hub's own model, trained by `fit` on pictures of the synthetic world, with
SigLIP's loss twice: pictures with their captions, and patches with the words
for what they show.
"""

import contextlib
import math
import os

import keras
import keras_hub
import numpy as np
from keras import ops

from examples.tiny_scenes import PATCH_SIZE
from examples.tiny_scenes import TEXT_LENGTH
from examples.tiny_scenes import AskedScenes
from examples.tiny_scenes import DrawnScenes
from examples.tiny_scenes import SiglipBatches
from examples.tiny_scenes import padded
from examples.tiny_scenes import world_words
from examples.tiny_starts import give_structure
from keras_paligemma.training import ComponentMuon

# Zhai et al., arXiv 2303.15343, section 3.2 and algorithm 1.
LOGIT_STARTS = {"logit_scale": math.log(10.0), "logit_bias": -10.0}
WIDTH = 192
HEADS = 6
LAYERS = 6
# Of the text encoder, which serves in this stage only.
TEXT_LAYERS = 1


def warmed_up(peak, steps):
    """Cosine to zero, after a twentieth of linear warm-up."""
    warmup = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=peak, warmup_steps=warmup
    )


@keras.saving.register_keras_serializable(package="examples")
class PairwiseSigmoid(keras.losses.Loss):
    """SigLIP's loss: each pair of a picture and a text is one yes or no.

    Of answers 1 and -1; pairs of 0 do not count. Summed over the last axis
    (Zhai et al., arXiv 2303.15343, section 3.2).
    """

    def call(self, y_true, y_pred):
        answers = ops.cast(y_true, y_pred.dtype)
        losses = -ops.log_sigmoid(answers * y_pred) * ops.abs(answers)
        return ops.sum(losses, axis=-1)


class SiglipWithWords(keras.Model):
    """A SigLIP that is also asked, of each patch, which words it shows.

    A picture's caption says what is there, not where: from that alone a small
    encoder needs far more pictures to tell shapes. Words for parts of the
    picture are what SigLIP 2 adds too, there by a decoder (Tschannen et al.,
    arXiv 2502.14786, section 2.1).

    Args:
        backbone: `keras_hub.models.SigLIPBackbone`.
        words: int array `[words, length]`. Tokens of the words.

    Returns:
        dict of logits: `"captions"` `[texts, images]` and `"words"` `[images,
        patches, words]`.
    """

    def __init__(self, backbone, words, **kwargs):
        super().__init__(**kwargs)
        encoder = backbone.vision_encoder
        self.backbone = backbone
        self.words = np.asarray(words, "int32")
        states = encoder.get_layer("post_layer_norm").output
        self.image_encoder = keras.Model(
            encoder.inputs, {"patches": states, "pooled": encoder.output}
        )
        self.patch_dense = keras.layers.Dense(
            states.shape[-1], dtype=backbone.dtype_policy, name="patch_dense"
        )
        # Most words are not in a patch: it begins nearer to what is so than
        # the bias of whole pictures.
        self.word_scale = self.add_weight(
            name="word_scale",
            initializer=keras.initializers.Constant(math.log(10.0)),
        )
        self.word_bias = self.add_weight(
            name="word_bias", initializer=keras.initializers.Constant(-3.0)
        )

    def build(self, input_shape):
        width = self.image_encoder.output["patches"].shape
        self.patch_dense.build(width)
        self.built = True

    def call(self, inputs):
        seen = self.image_encoder(inputs["images"])
        captions = self.backbone.get_text_embeddings(inputs["token_ids"])
        words = self.backbone.get_text_embeddings(
            ops.convert_to_tensor(self.words)
        )
        _, caption_logits = self.backbone.siglip_head(seen["pooled"], captions)
        patches = ops.normalize(
            ops.cast(self.patch_dense(seen["patches"]), "float32"), axis=-1
        )
        words = ops.normalize(ops.cast(words, "float32"), axis=-1)
        logits = ops.matmul(patches, ops.transpose(words))
        scale = ops.exp(ops.cast(self.word_scale, "float32"))
        bias = ops.cast(self.word_bias, "float32")
        return {"captions": caption_logits, "words": scale * logits + bias}


def siglip_backbone(vocabulary_size, image_size, dtype=None):
    """A small `SigLIPBackbone`, its logits as the paper begins them."""
    vision = keras_hub.models.SigLIPVisionEncoder(
        patch_size=PATCH_SIZE,
        hidden_dim=WIDTH,
        num_layers=LAYERS,
        num_heads=HEADS,
        intermediate_dim=2 * WIDTH,
        image_shape=(image_size, image_size, 3),
        dtype=dtype,
    )
    text = keras_hub.models.SigLIPTextEncoder(
        vocabulary_size=vocabulary_size,
        embedding_dim=WIDTH,
        hidden_dim=WIDTH,
        num_layers=TEXT_LAYERS,
        num_heads=HEADS,
        intermediate_dim=2 * WIDTH,
        max_sequence_length=TEXT_LENGTH,
        dtype=dtype,
    )
    backbone = keras_hub.models.SigLIPBackbone(vision, text, dtype=dtype)
    # Keras-Hub's are zero, with which a batch of pairs is first of all too
    # many yeses, and hardly told apart.
    for variable in backbone.weights:
        start = LOGIT_STARTS.get(variable.path.split("/")[-1])
        if start is not None:
            variable.assign(start)
    return backbone


def train_siglip(
    world,
    tokenizer,
    steps,
    scenes,
    directory,
    batch_size=32,
    readers=2,
    dtype=None,
    callbacks=None,
):
    """Trains a SigLIP on a world at its size; saves a preset.

    Args:
        world: `SyntheticWorld`.
        tokenizer: `PaliGemmaTokenizer`.
        steps: int. Number of batches.
        scenes: int. How many are drawn; seen as often as the steps need.
        directory: `pathlib.Path`. Where the preset goes.
        batch_size: int.
        readers: int. Processes that draw.
        dtype: string or `None`. Keras dtype policy.
        callbacks: list of `keras.callbacks.Callback` or `None`.

    Returns:
        The `keras.callbacks.History` of `fit`.
    """
    backbone = siglip_backbone(
        tokenizer.vocabulary_size(), world.image_size, dtype
    )
    examples = [world[10**8 + i].image for i in range(512)]
    give_structure(backbone.vision_encoder, np.array(examples), HEADS)
    words = padded(tokenizer.tokenize(world_words()), TEXT_LENGTH)
    model = SiglipWithWords(backbone, words)
    model.compile(
        ComponentMuon([(".*", warmed_up(6e-3, steps))], global_clipnorm=1.0),
        loss={"captions": PairwiseSigmoid(), "words": PairwiseSigmoid()},
        # By pixels seen, a caption is one word among many.
        loss_weights={"captions": 0.1, "words": 1.0},
    )
    asked = AskedScenes({"caption": (world.task("caption", 10**7), 1.0)})
    pictures = directory.with_suffix(".scenes.npy")
    drawn = DrawnScenes(asked, tokenizer, scenes, pictures, readers)
    with faster_attention():
        history = model.fit(
            SiglipBatches(drawn, steps, batch_size, world.seed),
            shuffle=False,
            callbacks=callbacks,
        )
    pictures.unlink()
    backbone.save_to_preset(os.fspath(directory))
    return history


def faster_attention():
    """A context for Keras' own attention on a CPU with PyTorch.

    Its fused form takes twice as long backwards in bfloat16.
    """
    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    from torch.nn import attention

    return attention.sdpa_kernel([attention.SDPBackend.MATH])
