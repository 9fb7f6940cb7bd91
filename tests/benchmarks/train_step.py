"""Times a training step: ours, Keras-Hub's and Transformers'.

    python -m tests.benchmarks.train_step
    python -m tests.benchmarks.train_step --backends torch --batch 4

Each measurement has a process of its own. All have the same shape, random
weights and Adam; 64 text tokens an example, 48 of them in the loss. The best
of several steps after a warm-up counts; the peak is of the whole process.
"""

import argparse
import json
import sys

from tests.benchmarks import measure
from tests.benchmarks import shapes

BACKENDS = ("jax", "torch", "tensorflow")
PEERS = ("ours", "keras_hub", "transformers")
LENGTH = 64
RESPONSE = 48
MODULE = "tests.benchmarks.train_step"


def make_batch(shape, batch):
    """Returns model inputs, targets and weights, the same for each peer."""
    import numpy as np

    random = np.random.default_rng(0)
    size = shape["image_size"]
    images = random.uniform(-1, 1, (batch, size, size, 3)).astype("float32")
    token_ids = random.integers(
        4, shape["vocabulary_size"], (batch, LENGTH + 1)
    ).astype("int32")
    response = np.zeros((batch, LENGTH + 1), "int32")
    response[:, -RESPONSE:] = 1
    x = {
        "images": images,
        "token_ids": token_ids[:, :-1],
        "padding_mask": np.ones((batch, LENGTH), "int32"),
        "response_mask": response[:, :-1],
    }
    return x, token_ids[:, 1:], response[:, 1:].astype("float32")


def prepare_keras(package, shape, batch):
    import keras

    backbone = package.PaliGemmaBackbone(**shape)
    model = package.PaliGemmaCausalLM(preprocessor=None, backbone=backbone)
    model.compile(optimizer=keras.optimizers.Adam(1e-5))
    x, y, weights = make_batch(shape, batch)
    return lambda: float(
        model.train_on_batch(x, y, weights, return_dict=True)["loss"]
    )


def prepare_ours(shape, batch):
    import keras_paligemma

    return prepare_keras(keras_paligemma, shape, batch)


def prepare_keras_hub(shape, batch):
    import keras_hub

    return prepare_keras(keras_hub.models, shape, batch)


def prepare_transformers(shape, batch):
    import numpy as np
    import torch
    import transformers

    config = shapes.transformers_config(shape)
    model = transformers.PaliGemmaForConditionalGeneration(config).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)
    x, _, weights = make_batch(shape, batch)
    images = np.full(
        (batch, shapes.num_image_tokens(shape)), shape["vocabulary_size"]
    )
    token_ids = np.concatenate([images, x["token_ids"]], axis=1)
    # Labels are shifted by the model itself.
    marked = np.zeros(token_ids.shape, "bool")
    marked[:, -RESPONSE:] = True
    inputs = {
        "input_ids": torch.tensor(token_ids),
        "attention_mask": torch.ones(token_ids.shape, dtype=torch.long),
        "token_type_ids": torch.tensor(marked).long(),
        "pixel_values": torch.tensor(x["images"].transpose(0, 3, 1, 2)),
        "labels": torch.tensor(np.where(marked, token_ids, -100)),
    }

    def train_step():
        optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        return float(loss)

    return train_step


PREPARE = {
    "ours": prepare_ours,
    "keras_hub": prepare_keras_hub,
    "transformers": prepare_transformers,
}


def work(options):
    """Makes one measurement in this process and prints it as JSON."""
    shape = shapes.SHAPES[options.shape]
    train_step = PREPARE[options.worker](shape, options.batch)
    result = measure.time_calls(train_step, options.repeats)
    result["peak_bytes"] = measure.peak_memory()
    print(json.dumps(result))


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=BACKENDS
    )
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--shape", choices=list(shapes.SHAPES), default="small")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options)
        return 0
    rows, failed = [], False
    for backend in options.backends:
        ours = None
        for peer in options.peers:
            if peer == "transformers" and backend != "torch":
                continue
            result = measure.run_fresh(
                MODULE,
                [
                    f"--worker={peer}",
                    f"--batch={options.batch}",
                    f"--shape={options.shape}",
                    f"--repeats={options.repeats}",
                ],
                backend,
            )
            if "error" in result:
                failed = True
                rows.append([f"{backend}, {peer}", result["error"], "", "", ""])
                continue
            best = min(result["seconds"])
            ours = best if peer == "ours" else ours
            rows.append(
                [
                    f"{backend}, {peer}",
                    f"{best:.2f}",
                    f"{best / ours:.2f}" if ours else "-",
                    f"{result['first']:.1f}",
                    f"{result['peak_bytes'] / 1e9:.2f}",
                ]
            )
            print(" ".join(rows[-1]), flush=True)
    header = ["backend, peer", "s a step", "to ours", "first s", "GB"]
    print(f"\n{options.shape}, batch {options.batch}\n")
    print(measure.format_table(header, rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
