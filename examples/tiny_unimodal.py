"""Stage 0 of the tiny PaliGemma: a vocabulary, a SigLIP, a Gemma.

Both are Keras-Hub's own models, trained by `fit` on the synthetic world; their
presets are what `PaliGemmaBackbone.from_unimodal` assembles.
"""

import math
import os

import keras
import keras_hub

from examples.tiny_scenes import padded
from examples.tiny_siglip import train_siglip
from examples.tiny_siglip import warmed_up
from examples.tiny_starts import line_waves
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.preprocessing import PaliGemmaTokenizer
from keras_paligemma.preprocessing import train_sentencepiece
from keras_paligemma.training import ComponentMuon

# With the 1,152 tokens of locations and segments: 2,560.
VOCABULARY_SIZE = 1408
TEXT_TASKS = ("caption", "ocr", "answer", "question")
GEMMA_LENGTH = 64
WIDTH = 192
GEMMA_LAYERS = 4
# As many of keys and values: one of 32 numbers is a narrow way for all that a
# patch has to tell.
GEMMA_HEADS = 6


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


def train_gemma(pairs, tokenizer, epochs, directory, dtype=None):
    """Next-token loss on the world's texts; saves a preset."""
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=VOCABULARY_SIZE,
        num_layers=GEMMA_LAYERS,
        num_query_heads=GEMMA_HEADS,
        num_key_value_heads=GEMMA_HEADS,
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


def make_unimodal(
    workdir, world, steps, scenes, texts, epochs, readers=2, dtype=None
):
    """Trains what is not there yet; returns the paths of both presets.

    Args:
        workdir: `pathlib.Path`.
        world: `SyntheticWorld`, whose size SigLIP learns at.
        steps: int. Of SigLIP.
        scenes: int. How many pictures SigLIP sees, again and again.
        texts: int. How many the vocabulary and Gemma see.
        epochs: int. Of Gemma.
        readers: int. Processes that draw SigLIP's pictures.
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
        train_siglip(
            world,
            tokenizer,
            steps,
            scenes,
            siglip,
            readers=readers,
            dtype=dtype,
        )
    return tokenizer, siglip, gemma
