"""Stage 0 of the tiny PaliGemma: its SigLIP.

Keras-Hub's own model, trained by `fit` on pictures of the synthetic world, with
SigLIP's loss twice: pictures with their captions, and patches with the words
for what they show.
"""

import concurrent.futures
import contextlib
import math
import os

import keras
import keras_hub
import numpy as np
from keras import ops

from examples.tiny_starts import give_structure
from keras_paligemma.data import Mixture
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data.selection import mix_bits
from keras_paligemma.data.shuffling import shuffled_index
from keras_paligemma.data.synthetic import COLOURS
from keras_paligemma.data.synthetic import KINDS
from keras_paligemma.data.synthetic import colour_name
from keras_paligemma.data.synthetic import noun_phrase
from keras_paligemma.training import ComponentMuon

TEXT_LENGTH = 48
# Zhai et al., arXiv 2303.15343, section 3.2 and algorithm 1.
LOGIT_STARTS = {"logit_scale": math.log(10.0), "logit_bias": -10.0}
PATCH_SIZE = 14
WIDTH = 192
HEADS = 6
LAYERS = 6
# Of the text encoder, which serves in this stage only.
TEXT_LAYERS = 1
# Scenes that a process draws before it hands them over.
DRAWN_AT_ONCE = 250
# Share of a patch that a thing must cover to be what it shows; a patch of
# less, but some, is not asked.
SHOWN, SOME = 0.25, 0.03


def world_words():
    """What patches are asked: the English for each kind and each colour."""
    kinds = [noun_phrase("en", kind) for kind in KINDS]
    return kinds + [colour_name("en", colour) for colour in COLOURS]


def patch_answers(scene, patch_size=PATCH_SIZE):
    """Which of `world_words` each patch of a scene shows.

    Returns:
        int8 array `[patches, words]`, patches in raster order: 1 for yes, -1
        for no, 0 where the patch is not asked.
    """
    side = len(scene.image) // patch_size
    answers = np.full((side * side, len(KINDS) + len(COLOURS)), -1, "int8")
    cells = (side, patch_size, side, patch_size)
    cover = [
        thing.mask.reshape(cells).mean((1, 3)).ravel()
        for thing in scene.objects
    ]
    if not cover:
        return answers
    kinds, colours = tuple(KINDS), tuple(COLOURS)
    largest, most = np.argmax(cover, 0), np.max(cover, 0)
    for i, thing in enumerate(scene.objects):
        shown = (largest == i) & (most > SHOWN)
        answers[shown, kinds.index(thing.kind)] = 1
        answers[shown, len(kinds) + colours.index(thing.colour)] = 1
    answers[(most > SOME) & (most <= SHOWN)] = 0
    return answers


class AskedScenes(Mixture):
    """Batches of pictures, captions and the answers of patches."""

    def batch(self, start, size):
        records = [self[index] for index in range(start, start + size)]
        return {
            "images": np.array([record.scene.image for record in records]),
            "captions": [record.suffix for record in records],
            "words": np.array([patch_answers(r.scene) for r in records]),
        }


class DrawnScenes:
    """Scenes that are drawn once, before a training that sees them often.

    On few cores, drawing beside the training would hold up its every step.

    Args:
        scenes: `AskedScenes`.
        tokenizer: `PaliGemmaTokenizer`. Of the captions.
        count: int. How many scenes.
        path: path of the `.npy` file that the pictures are written to.
        readers: int. Processes that draw.
    """

    def __init__(self, scenes, tokenizer, count, path, readers=2):
        size = scenes[0].scene.image.shape
        self.images = np.lib.format.open_memmap(
            path, "w+", "uint8", (count, *size)
        )
        self.token_ids = np.zeros((count, TEXT_LENGTH), "int32")
        self.words = [None] * count
        starts = range(0, count, DRAWN_AT_ONCE)
        sizes = [min(DRAWN_AT_ONCE, count - start) for start in starts]
        progress = keras.utils.Progbar(count, unit_name="scene")
        with (
            ReaderProcesses(scenes, readers) as source,
            concurrent.futures.ThreadPoolExecutor(readers) as threads,
        ):
            batches = threads.map(source.batch, starts, sizes)
            for start, raw in zip(starts, batches, strict=True):
                rows = slice(start, start + len(raw["images"]))
                self.images[rows] = raw["images"]
                self.token_ids[rows] = padded(
                    tokenizer.tokenize(raw["captions"]), TEXT_LENGTH
                )
                self.words[rows] = raw["words"]
                progress.update(rows.stop)
        self.words = np.array(self.words)

    def __len__(self):
        return len(self.images)


class SiglipBatches(keras.utils.PyDataset):
    """What `SiglipWithWords` is trained on: scenes in a new order each time.

    Args:
        scenes: `DrawnScenes`.
        steps: int. Number of batches.
        batch_size: int.
        seed: int. Of the order.
    """

    def __init__(self, scenes, steps, batch_size, seed=0):
        super().__init__(workers=1, max_queue_size=4)
        self.scenes = scenes
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        first = index * self.batch_size
        rows = [
            shuffled_index(
                place % len(self.scenes),
                len(self.scenes),
                mix_bits(self.seed, place // len(self.scenes)),
            )
            for place in range(first, first + self.batch_size)
        ]
        images = self.scenes.images[rows].astype("float32") / 127.5 - 1.0
        inputs = {"images": images, "token_ids": self.scenes.token_ids[rows]}
        pairs = 2 * np.eye(len(images), dtype="int8") - 1
        return inputs, {"captions": pairs, "words": self.scenes.words[rows]}


def padded(rows, length):
    """int32 `[rows, length]`, cut or filled with `<pad>`, which is 0."""
    array = np.zeros((len(rows), length), "int32")
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row[:length]
    return array


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
    drawn = DrawnScenes(asked, tokenizer, scenes, pictures)
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
