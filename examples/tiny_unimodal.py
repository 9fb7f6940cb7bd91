"""Stage 0 of the tiny PaliGemma: a vocabulary, a SigLIP, a Gemma.

Both are Keras-Hub's own models, trained by `fit` on the synthetic world; their
presets are what `PaliGemmaBackbone.from_unimodal` assembles.
"""

import math
import os

import keras
import keras_hub
import numpy as np

from keras_paligemma.data import Mixture
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.preprocessing import PaliGemmaTokenizer
from keras_paligemma.preprocessing import train_sentencepiece
from keras_paligemma.training import ComponentMuon

# With the 1,152 tokens of locations and segments: 2,560.
VOCABULARY_SIZE = 1408
TEXT_TASKS = ("caption", "ocr", "answer", "question")
SIGLIP_LENGTH = 48
GEMMA_LENGTH = 64
# Zhai et al., arXiv 2303.15343, section 3.2 and algorithm 1.
LOGIT_STARTS = {"logit_scale": math.log(10.0), "logit_bias": -10.0}
WIDTH = 192
SIGLIP_LAYERS = 6
GEMMA_LAYERS = 4


def world_texts(world, count):
    """Prompts and answers of the world's text tasks, as pairs."""
    pairs = []
    for task in TEXT_TASKS:
        records = world.task(task, count // len(TEXT_TASKS))
        pairs += [(record.prefix, record.suffix) for record in records]
    return pairs


def train_vocabulary(pairs):
    """A SentencePiece model like Gemma's, in bytes."""
    texts = [text for pair in pairs for text in pair]
    # The words of detection's and segmentation's prompts.
    texts += ["detect", "segment", " ; "] * (len(pairs) // 20)
    return train_sentencepiece(texts, VOCABULARY_SIZE)


class CaptionedImages(keras.utils.PyDataset):
    """Batches of images and tokenized captions, for SigLIP."""

    def __init__(self, source, tokenizer, steps, batch_size):
        super().__init__(workers=2, max_queue_size=4)
        self.source = source
        self.tokenizer = tokenizer
        self.steps = steps
        self.batch_size = batch_size

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        raw = self.source.batch(index * self.batch_size, self.batch_size)
        images = np.array([np.asarray(image) for image in raw["images"]])
        images = images.astype("float32") / 127.5 - 1.0
        texts = self.tokenizer.tokenize(raw["responses"])
        token_ids = padded(texts, SIGLIP_LENGTH)
        # The loss knows which pairs belong together.
        labels = np.zeros(len(images))
        return {"images": images, "token_ids": token_ids}, labels


def padded(rows, length):
    """int32 `[rows, length]`, cut or filled with `<pad>`, which is 0."""
    array = np.zeros((len(rows), length), "int32")
    for target, row in zip(array, rows, strict=True):
        target[: len(row)] = row[:length]
    return array


def grid_waves(side, width, longest=100.0):
    """Sines and cosines of rows and columns, float `[side * side, width]`.

    What a big image encoder learns of its positions from billions of images,
    a small one is given to begin with (Chen et al., arXiv 2104.02057).
    """
    frequencies = longest ** -np.linspace(0, 1, width // 4)
    angles = np.arange(side)[:, None] * frequencies
    waves = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    rows = np.repeat(waves, side, axis=0)
    columns = np.tile(waves, (side, 1))
    return np.concatenate([rows, columns], 1)


def line_waves(count, width, shortest=16):
    """Sines and cosines of places on a line, float `[count, width]`.

    Their periods go from twice the line down to `shortest` places, so that
    rows are the more alike the nearer their places are. Mean square 1/2.
    """
    periods = np.geomspace(2 * count, shortest, width // 2)
    angles = 2 * np.pi * np.arange(count)[:, None] / periods
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def smooth_locations(backbone, tokenizer):
    """Lets neighbouring location tokens begin alike.

    Else each of the 1,024 has to be learned by itself, for which a short
    training has too few boxes.
    """
    (table,) = (v for v in backbone.weights if v.path.startswith("embedding/"))
    rows = keras.ops.convert_to_numpy(keras.ops.cast(table, "float32")).copy()
    size = rows[:VOCABULARY_SIZE].std()
    ids = list(tokenizer.location_token_ids)
    rows[ids] = math.sqrt(2.0) * size * line_waves(len(ids), rows.shape[1])
    table.assign(rows)


def warmed_up(peak, steps):
    """Cosine to zero, after a tenth of linear warm-up."""
    warmup = max(1, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=peak, warmup_steps=warmup
    )


@keras.saving.register_keras_serializable(package="examples")
class PairwiseSigmoid(keras.losses.Loss):
    """SigLIP's loss: each pair of image and text is one yes or no.

    Of logits `[texts, images]`, whose diagonal alone is yes; summed over the
    images (Zhai et al., arXiv 2303.15343, section 3.2).
    """

    def call(self, y_true, y_pred):
        rows = keras.ops.arange(keras.ops.shape(y_pred)[0])
        yes = keras.ops.equal(rows[:, None], rows[None])
        signs = 2.0 * keras.ops.cast(yes, y_pred.dtype) - 1.0
        return -keras.ops.sum(keras.ops.log_sigmoid(signs * y_pred), axis=-1)


def train_siglip(world, tokenizer, steps, directory, batch_size=32, dtype=None):
    """Sigmoid contrastive loss on images and captions; saves a preset."""
    vision = keras_hub.models.SigLIPVisionEncoder(
        patch_size=14,
        hidden_dim=WIDTH,
        num_layers=SIGLIP_LAYERS,
        num_heads=6,
        intermediate_dim=2 * WIDTH,
        image_shape=(world.image_size, world.image_size, 3),
        dtype=dtype,
    )
    (positions,) = (v for v in vision.weights if "position_embedding" in v.path)
    positions.assign(grid_waves(world.image_size // 14, WIDTH))
    text = keras_hub.models.SigLIPTextEncoder(
        vocabulary_size=VOCABULARY_SIZE,
        embedding_dim=WIDTH,
        hidden_dim=WIDTH,
        num_layers=2,
        num_heads=6,
        intermediate_dim=2 * WIDTH,
        max_sequence_length=SIGLIP_LENGTH,
        dtype=dtype,
    )
    backbone = keras_hub.models.SigLIPBackbone(vision, text, dtype=dtype)
    # As the paper begins them: Keras-Hub's are zero, with which a batch of
    # pairs is first of all too many yeses, and hardly told apart.
    for variable in backbone.weights:
        start = LOGIT_STARTS.get(variable.path.split("/")[-1])
        if start is not None:
            variable.assign(start)
    # Keras-Hub's own loss runs both towers a second time.
    model = keras.Model(backbone.inputs, backbone.output["text_logits"])
    model.compile(
        ComponentMuon([(".*", warmed_up(2e-3, steps))], global_clipnorm=1.0),
        loss=PairwiseSigmoid(),
    )
    captions = Mixture({"caption": (world.task("caption", 10**7), 1.0)})
    with ReaderProcesses(captions, 1) as source:
        data = CaptionedImages(source, tokenizer, steps, batch_size)
        history = model.fit(data, shuffle=False)
    backbone.save_to_preset(os.fspath(directory))
    return history


def train_gemma(pairs, tokenizer, epochs, directory, dtype=None):
    """Next-token loss on the world's texts; saves a preset."""
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=VOCABULARY_SIZE,
        num_layers=GEMMA_LAYERS,
        num_query_heads=6,
        num_key_value_heads=1,
        hidden_dim=WIDTH,
        intermediate_dim=512,
        head_dim=32,
        dtype=dtype,
    )
    model = keras_hub.models.GemmaCausalLM(backbone, preprocessor=None)
    bos, eos = tokenizer.start_token_id, tokenizer.end_token_id
    separator = tokenizer.separator_token_id
    prefixes = tokenizer.tokenize([prefix for prefix, _ in pairs])
    suffixes = tokenizer.tokenize([suffix for _, suffix in pairs])
    rows = [
        [bos, *prefix, separator, *suffix, eos]
        for prefix, suffix in zip(prefixes, suffixes, strict=True)
    ]
    tokens = padded(rows, GEMMA_LENGTH + 1)
    x = {
        "token_ids": tokens[:, :-1],
        "padding_mask": (tokens[:, :-1] != 0).astype("int32"),
    }
    y = tokens[:, 1:]
    steps = epochs * -(-len(rows) // 64)
    model.compile(
        optimizer=ComponentMuon(
            [(".*", warmed_up(2e-3, steps))], global_clipnorm=1.0
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    weight = (y != 0).astype("float32")
    history = model.fit(
        x=x,
        y=y,
        sample_weight=weight,
        batch_size=64,
        epochs=epochs,
    )
    model.backbone.save_to_preset(os.fspath(directory))
    return history


def make_unimodal(workdir, world, steps, texts, epochs, dtype=None):
    """Trains what is not there yet; returns the paths of both presets.

    Args:
        workdir: `pathlib.Path`.
        world: `SyntheticWorld`, whose size SigLIP learns at.
        steps: int. Of SigLIP.
        texts: int. How many the vocabulary and Gemma see.
        epochs: int. Of Gemma.
        dtype: string or `None`. Keras dtype policy.

    Returns:
        The tokenizer, SigLIP's preset and Gemma's.
    """
    siglip, gemma = workdir / "siglip", workdir / "gemma"
    vocabulary = workdir / "vocabulary.spm"
    small = SyntheticWorld(
        64, seed=world.seed, split="texts", languages=world.languages
    )
    done = siglip / "config.json", gemma / "config.json", vocabulary
    pairs = None
    if not (done[1].exists() and done[2].exists()):
        pairs = world_texts(small, texts)
    if not vocabulary.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        vocabulary.write_bytes(train_vocabulary(pairs))
    tokenizer = PaliGemmaTokenizer(str(vocabulary))
    if not done[1].exists():
        train_gemma(pairs, tokenizer, epochs, gemma, dtype)
    if not done[0].exists():
        train_siglip(world, tokenizer, steps, siglip, dtype=dtype)
    return tokenizer, siglip, gemma
