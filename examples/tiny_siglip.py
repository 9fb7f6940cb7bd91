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

from examples.tiny_scenes import TEXT_LENGTH
from examples.tiny_scenes import AskedScenes
from examples.tiny_scenes import DrawnScenes
from examples.tiny_scenes import SiglipBatches
from examples.tiny_starts import give_structure
from examples.tiny_words import PATCH_SIZE
from examples.tiny_words import world_words
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.training import ComponentMuon

# Zhai et al., arXiv 2303.15343, section 3.2 and algorithm 1.
LOGIT_STARTS = {"logit_scale": math.log(10.0), "logit_bias": -10.0}
# Most words are not in a patch.
WORD_BIAS = -4.0
WIDTH = 192
HEADS = 6
LAYERS = 6
# Of the text encoder, which serves in this stage only.
TEXT_LAYERS = 1
# Shares of whole pictures, and of parts of larger ones.
WHOLE, PARTS = 5.0, 3.0


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
        words: int. How many words patches are asked.

    Returns:
        dict of logits: `"captions"` `[texts, images]` and `"words"` `[images,
        patches, words]`.
    """

    def __init__(self, backbone, words, **kwargs):
        super().__init__(**kwargs)
        encoder = backbone.vision_encoder
        self.backbone = backbone
        states = encoder.get_layer("post_layer_norm").output
        self.image_encoder = keras.Model(
            encoder.inputs, {"patches": states, "pooled": encoder.output}
        )
        self.word_dense = keras.layers.Dense(
            words,
            bias_initializer=keras.initializers.Constant(WORD_BIAS),
            dtype=backbone.dtype_policy,
            name="word_dense",
        )

    def build(self, input_shape):
        self.word_dense.build(self.image_encoder.output["patches"].shape)
        self.built = True

    def call(self, inputs):
        seen = self.image_encoder(inputs["images"])
        captions = self.backbone.get_text_embeddings(inputs["token_ids"])
        _, logits = self.backbone.siglip_head(seen["pooled"], captions)
        words = ops.cast(self.word_dense(seen["patches"]), "float32")
        return {"captions": logits, "words": words}


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
    model = SiglipWithWords(backbone, len(world_words()))
    model.compile(
        ComponentMuon([(".*", warmed_up(6e-3, steps))], global_clipnorm=1.0),
        loss={"captions": PairwiseSigmoid(), "words": PairwiseSigmoid()},
        # By pixels seen, a caption is one word among many.
        loss_weights={"captions": 0.1, "words": 1.0},
    )
    asked = asked_scenes(world)
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


def asked_scenes(world):
    """Whole scenes of a world, and parts of larger ones with words.

    What is written is too small to read at the size of the first stages; and
    what was seen at two sizes is known again when the images grow.
    """
    larger = SyntheticWorld(
        2 * world.image_size, seed=world.seed, split=world.split
    )
    return AskedScenes(
        world.image_size,
        {
            "caption": (world.task("caption", 10**7), WHOLE),
            "ocr": (larger.task("ocr", 10**7), PARTS),
        },
    )


def faster_attention():
    """A context for Keras' own attention on a CPU with PyTorch.

    Its fused form takes twice as long backwards in bfloat16.
    """
    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    from torch.nn import attention

    return attention.sdpa_kernel([attention.SDPBackend.MATH])
