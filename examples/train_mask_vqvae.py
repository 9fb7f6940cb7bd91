"""Trains the mask codec that ships with this package.

    python examples/train_mask_vqvae.py --output mask_vqvae.npz

The masks are drawn as they are needed: objects of the synthetic world, blobs,
polygons, ellipses, strips and bodies with limbs, some hidden in part, some at
the border. Every fourth kind of the world's objects is held out. About
half an hour on two CPU cores; the mean overlap (intersection over union) with
masks that were not trained on is shown after every epoch, and a picture of
some of them is drawn beside the weights.
"""

import argparse
import math

import keras
import numpy as np
from PIL import Image

from keras_paligemma.data.synthetic.mask_crops import KINDS
from keras_paligemma.data.synthetic.mask_crops import draw_crops
from keras_paligemma.data.synthetic.shapes import SHAPES
from keras_paligemma.tasks.mask_vqvae import MaskVQVAE
from keras_paligemma.tasks.mask_vqvae import load_mask_codec
from keras_paligemma.tasks.mask_vqvae import mask_loss
from keras_paligemma.tasks.mask_vqvae import save_mask_codec

HELD_OUT = tuple(sorted(SHAPES)[::4])
TRAINED = tuple(kind for kind in sorted(SHAPES) if kind not in HELD_OUT)
# Thin things are the hardest.
DRAWN = (*KINDS, "strip", "strip")


class Crops(keras.utils.PyDataset):
    """Batches of crops, drawn anew in every epoch."""

    def __init__(self, steps, batch_size, seed):
        super().__init__()
        self.steps = steps
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, self.epoch, index))
        crops = draw_crops(rng, self.batch_size, DRAWN, TRAINED)
        return crops, crops

    def on_epoch_end(self):
        self.epoch += 1


def make_codec(seed):
    return MaskVQVAE((32, 64, 128, 128), decoder_dim=128, seed=seed)


def mean_iou(codec, crops):
    """The mean overlap of crops with what comes back of them."""
    there = crops > 0.5
    back = codec.decode(codec.encode(crops)) > 0.5
    both = (there & back).sum(axis=(1, 2))
    either = (there | back).sum(axis=(1, 2))
    return float(np.mean(both / np.maximum(either, 1)))


class Report(keras.callbacks.Callback):
    """Measures held-out masks after each epoch, and saves the weights."""

    def __init__(self, output):
        super().__init__()
        self.output = output
        rng = np.random.default_rng(12345)
        self.masks = {kind: draw_crops(rng, 64, (kind,)) for kind in KINDS[1:]}
        self.masks["object"] = draw_crops(rng, 64, ("object",), HELD_OUT)

    def on_epoch_end(self, epoch, logs=None):
        self.scores = {
            kind: mean_iou(self.model, crops)
            for kind, crops in self.masks.items()
        }
        mean = np.mean(list(self.scores.values()))
        parts = " ".join(
            f"{kind} {iou:.3f}" for kind, iou in self.scores.items()
        )
        print(f"\nheld out: mean IoU {mean:.3f} ({parts})", flush=True)
        save_mask_codec(self.model, self.output, "float16")


def draw_picture(codec, masks, path):
    """Rows of masks, each above what comes back of it."""
    rows = []
    for crops in masks.values():
        crops = crops[:12]
        back = codec.decode(codec.encode(crops)) > 0.5
        rows += [np.concatenate(crops, 1), np.concatenate(back, 1)]
        rows.append(np.full((8, rows[-1].shape[1]), 0.5))
    Image.fromarray(np.uint8(255 * np.concatenate(rows))).save(path)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="mask_vqvae.npz")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=500, help="an epoch")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest")
    parser.add_argument("--start", help="weights to go on from, a .npz")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(options.seed)
    if options.start:
        codec = load_mask_codec(options.start)
    else:
        codec = make_codec(options.seed)
    steps = options.epochs * options.steps
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps,
        warmup_target=options.rate,
        warmup_steps=math.ceil(steps / 20),
    )
    codec.compile(keras.optimizers.Adam(rate), loss=mask_loss)
    data = Crops(options.steps, options.batch_size, options.seed)
    report = Report(options.output)
    codec.fit(
        data,
        epochs=options.epochs,
        callbacks=[report],
        shuffle=False,
        verbose=2,
    )
    picture = options.output.removesuffix(".npz") + ".png"
    draw_picture(codec, report.masks, picture)
    print(f"{options.output} and {picture} are written")
    return codec, report.scores


if __name__ == "__main__":
    main()
