"""Transfers a tiny PaliGemma to real photographs: handwritten digits.

    python -m examples.transfer_digits --preset runs/tiny/stage_1/model \\
        --workdir runs/digits

scikit-learn ships 1,797 scans of digits by 43 writers (of UCI's test set of
optical recognition). A fifth of them is held out; the model answers which
digit it sees.
"""

import argparse
import pathlib

import numpy as np
import sklearn.datasets
import sklearn.model_selection

from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.data import Mixture
from keras_paligemma.data.records import Record
from keras_paligemma.evaluation import evaluate
from keras_paligemma.training import RateSettings
from keras_paligemma.training import Stage
from keras_paligemma.training import train

PROMPT = "answer en Which number is written here?"


def digit_records(image_size=112, seed=0):
    """Records to train on and records held out, as many of each digit."""
    digits = sklearn.datasets.load_digits()
    # 0 to 16, in squares of a few pixels each.
    scale = -(-image_size // 8)
    images = np.kron(255 - 15 * digits.images, np.ones((1, scale, scale)))
    images = np.repeat(images[..., None], 3, axis=-1).astype("uint8")
    records = [
        Record(images=(image,), prefix=PROMPT, suffix=str(label))
        for image, label in zip(images, digits.target, strict=True)
    ]
    return sklearn.model_selection.train_test_split(
        records, test_size=0.2, random_state=seed, stratify=digits.target
    )


def digit_stage(image_size, epochs, dtype):
    """All weights, Muon, a cosine to zero."""
    return Stage(
        "digits",
        image_size=image_size,
        text_length=32,
        epochs=epochs,
        mixture={"digits": 1.0},
        rates=((".*", RateSettings("cosine", peak=2e-3, warmup="10%")),),
        batch_size=32,
        optimizer="muon",
        adam_betas=(0.9, 0.95),
        dtype=dtype,
    )


def transfer(preset, workdir, epochs=4, dtype="float32", seed=0):
    """Trains on digits; returns the share of held-out ones that it reads."""
    stage = digit_stage(112, epochs, dtype)
    trained_on, held_out = digit_records(stage.image_size, seed)
    model = PaliGemmaCausalLM.from_preset(
        str(preset), **stage.model_arguments()
    )
    data = Mixture({"digits": (trained_on, 1.0)}, seed=seed)
    facts = {"preset": str(preset), "seed": seed}
    train(model, stage, data, workdir, facts=facts)
    evaluation = evaluate(model, held_out, "answer", batch_size=40)
    return evaluation.metrics["accuracy"]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    accuracy = transfer(
        options.preset, options.workdir, options.epochs, seed=options.seed
    )
    print(f"{accuracy:.3f} of the held-out digits are read")
    return accuracy


if __name__ == "__main__":
    main()
