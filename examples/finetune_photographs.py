"""Trains a small PaliGemma on eight photographs until it captions them.

    python examples/finetune_photographs.py --output photograph_model

The photographs are those that scikit-image and scikit-learn carry, so that
nothing is downloaded. A vocabulary is trained on the captions, a model of
under a million parameters is made from scratch, and `model.fit` runs until
`generate` returns each caption: about a minute on two CPU cores, with any
`KERAS_BACKEND`. The model is saved as a preset, and a sheet of the
photographs with what the model says of them is drawn beside it.
"""

import argparse
import os

import keras
import keras_hub
import skimage.data
import sklearn.datasets
from PIL import Image
from PIL import ImageDraw

import keras_paligemma
from keras_paligemma.preprocessing import train_sentencepiece

PROMPT = "caption en"


def photographs():
    """Returns pairs of a photograph and its caption."""
    return [
        (skimage.data.astronaut(), "a smiling woman in an orange space suit"),
        (skimage.data.chelsea(), "the face of a brown cat"),
        (skimage.data.coffee(), "a cup of coffee with a spoon"),
        (skimage.data.rocket(), "a rocket on its launch pad at dusk"),
        (skimage.data.camera(), "a man with a camera on a tripod"),
        (skimage.data.coins(), "rows of old coins"),
        (
            sklearn.datasets.load_sample_image("china.jpg"),
            "a tower with red pillars above a lake",
        ),
        (
            sklearn.datasets.load_sample_image("flower.jpg"),
            "an orange dahlia in front of green leaves",
        ),
    ]


def train_tokenizer(texts, vocabulary_size=320):
    """Trains a SentencePiece model as Gemma's is made, on a few texts."""
    proto = train_sentencepiece(texts, vocabulary_size, exact=False)
    # The location and segmentation tokens are added by the tokenizer.
    return keras_paligemma.PaliGemmaTokenizer(proto)


def make_model(tokenizer, image_size=56):
    """Makes a small PaliGemma with random weights."""
    backbone = keras_paligemma.PaliGemmaBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        image_size=image_size,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=1,
        hidden_dim=128,
        intermediate_dim=256,
        head_dim=32,
        vit_patch_size=14,
        vit_num_heads=4,
        vit_hidden_dim=64,
        vit_num_layers=2,
        vit_intermediate_dim=128,
    )
    preprocessor = keras_paligemma.PaliGemmaCausalLMPreprocessor(
        tokenizer,
        keras_paligemma.PaliGemmaImageConverter(image_size=image_size),
        sequence_length=48,
    )
    model = keras_paligemma.PaliGemmaCausalLM(preprocessor, backbone)
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3, global_clipnorm=1.0),
        sampler=keras_hub.samplers.GreedySampler(),
    )
    return model


class StopWhenLearned(keras.callbacks.Callback):
    """Ends training when `generate` returns every caption.

    Args:
        images: list of images.
        captions: list of strings.
        every: int. Epochs between two looks.
    """

    def __init__(self, images, captions, every=10):
        super().__init__()
        self.inputs = {"images": images, "prompts": [PROMPT] * len(images)}
        self.captions = captions
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        said = self.model.generate(self.inputs, strip_prompt=True)
        right = sum(a == b for a, b in zip(said, self.captions, strict=True))
        print(f"\n{right} of {len(said)} captions right")
        self.model.stop_training = right == len(said)


def draw_sheet(images, texts, path, size=224):
    """Draws images with a line of text under each."""
    columns = 4
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * size, rows * (size + 24)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, text) in enumerate(zip(images, texts, strict=True)):
        left, top = i % columns * size, i // columns * (size + 24)
        tile = Image.fromarray(image).convert("RGB").resize((size, size))
        sheet.paste(tile, (left, top))
        draw.text((left + 4, top + size + 6), text, fill="black")
    sheet.save(path)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="photograph_model")
    parser.add_argument("--epochs", type=int, default=300)
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(0)
    images, captions = zip(*photographs(), strict=True)
    tokenizer = train_tokenizer([PROMPT, *captions])
    model = make_model(tokenizer)
    model.fit(
        {
            "images": images,
            "prompts": [PROMPT] * len(images),
            "responses": captions,
        },
        batch_size=8,
        epochs=options.epochs,
        verbose=2,
        callbacks=[StopWhenLearned(images, captions)],
    )

    model.save_to_preset(options.output)
    model = keras_paligemma.PaliGemmaCausalLM.from_preset(options.output)
    said = model.generate(
        {"images": images, "prompts": [PROMPT] * len(images)},
        strip_prompt=True,
    )
    for text in said:
        print(text)
    sheet = os.path.join(options.output, "captions.png")
    draw_sheet(images, said, sheet)
    print(f"saved the model and {sheet}")
    return list(captions), said


if __name__ == "__main__":
    main()
