"""What each choice of the tiny PaliGemma's training is worth.

    python -m examples.ablate_tiny --start runs/tiny/stage_0/model \\
        --out runs/ablations

Variants of stage 1, each from the same assembled model, with the same seed
and the same examples: the image encoder's slow warm-up against none and
against freezing, prefix-LM against fully causal text, task prefixes against
none; and 224 px from the start against 112 px first. Measured on pictures
that none of them saw: the loss, and the share of tokens that are right where
the text before them is given. Resumable; `--table` prints what is there.
"""

import argparse
import dataclasses
import json
import pathlib
import time

import keras

from examples.pretrain_tiny import default_dtype
from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma import PaliGemmaCausalLMPreprocessor
from keras_paligemma.commands.evaluate import write_text
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data.synthetic import synthetic_mixture
from keras_paligemma.tasks.mask_vqvae import load_mask_codec
from keras_paligemma.training import tiny_stages
from keras_paligemma.training import train
from keras_paligemma.training.stages import EVERYTHING
from keras_paligemma.training.stages import IMAGE_ENCODER

# Of a world that no training drew from.
HELD_OUT_SEED = 1
TASK_WORDS = ("caption", "ocr", "answer", "question", "detect", "segment")
WITH_LANGUAGE = ("caption", "answer", "question")


class CausalText(PaliGemmaCausalLMPreprocessor):
    """The prompt attends causally as well, as in a plain language model."""

    def call(self, *arguments, **options):
        x, y, sample_weight = super().call(*arguments, **options)
        x["response_mask"] = x["padding_mask"]
        return x, y, sample_weight


class WithoutTaskWords:
    """Takes off the prompt what says which task it is.

    "caption en" and "ocr" become nothing, "detect cat" becomes "cat".
    """

    def __call__(self, record, rng):
        first, _, rest = record.prefix.partition(" ")
        if first not in TASK_WORDS:
            return record
        # A language goes with the task's name; boxes and things stay.
        language, _, after = rest.partition(" ")
        if first in WITH_LANGUAGE and len(language) == 2:
            rest = after
        return dataclasses.replace(record, prefix=rest)


def variants(scale, dtype):
    """Stages, and what else differs, of each variant.

    Returns:
        dict of name to (list of `Stage`, preprocessor class, augmentation).
    """
    stages = tiny_stages(scale, dtype)
    stage, larger = stages["stage_1"], stages["stage_2"]
    (_, _), (_, curve) = stage.rates

    def with_encoder(*row):
        rates = (*row, (EVERYTHING, curve))
        return [dataclasses.replace(stage, rates=rates)]

    plain = PaliGemmaCausalLMPreprocessor
    # As much time at 224 px as the other takes at both sizes: an example of
    # 224 px takes about four times that of one at 112.
    from_the_start = dataclasses.replace(
        stage,
        image_size=224,
        mixture=larger.mixture,
        examples=round(stage.examples / 4) + larger.examples,
    )
    return {
        "slow warm-up of the image encoder, as it is": ([stage], plain, None),
        "image encoder warmed up like the rest": (
            with_encoder(),
            plain,
            None,
        ),
        "image encoder frozen": (
            with_encoder((IMAGE_ENCODER, None)),
            plain,
            None,
        ),
        "text fully causal": ([stage], CausalText, None),
        "no task words in prompts": ([stage], plain, WithoutTaskWords()),
        "112 px, then 224 px": ([stage, larger], plain, None),
        "224 px from the start": ([from_the_start], plain, None),
    }


def run_variant(name, stages, kind, augment, options):
    """Trains one variant and measures it; returns its row."""
    workdir = options.out / name.replace(" ", "_")
    preset = options.start
    codec = load_mask_codec()
    seconds = 0.0
    for number, stage in enumerate(stages):
        model = load(preset, kind, stage)
        mixture = synthetic_mixture(
            stage.mixture,
            stage.image_size,
            options.seed,
            codec,
            part=number,
        )
        mixture.augment = augment
        began = time.perf_counter()
        with ReaderProcesses(mixture, 1) as source:
            train(
                model,
                stage,
                source,
                workdir / str(number),
                log_every=20,
                length_window=4,
                facts={"variant": name, "seed": options.seed},
            )
        seconds += time.perf_counter() - began
        preset = workdir / str(number) / "model"
    return {"seconds": seconds, **measure(model, stages[-1], augment, options)}


def load(preset, kind, stage):
    """The model of a preset, with the variant's own preprocessor."""
    model = PaliGemmaCausalLM.from_preset(
        str(preset), **stage.model_arguments()
    )
    model.preprocessor = kind(
        model.preprocessor.tokenizer,
        model.preprocessor.image_converter,
        sequence_length=stage.text_length,
    )
    return model


def measure(model, stage, augment, options):
    """Held-out loss and share of right tokens, for each task."""
    codec = load_mask_codec()
    figures = {}
    model.compile()
    for task, _ in stage.mixture:
        mixture = synthetic_mixture(
            {task: 1.0}, stage.image_size, HELD_OUT_SEED, codec
        )
        mixture.augment = augment
        data = mixture.batch(0, options.count)
        figures[task] = model.evaluate(
            data, batch_size=50, verbose=0, return_dict=True
        )
    return figures


def table(rows):
    """The rows as lines of a Markdown table: share of right tokens, loss."""
    tasks = [name for name in next(iter(rows.values())) if name != "seconds"]
    heads = ["variant", *tasks, "mean loss", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, row in rows.items():
        cells = [
            f"{row[task]['sparse_categorical_accuracy']:.3f}" for task in tasks
        ]
        loss = sum(row[task]["loss"] for task in tasks) / len(tasks)
        cells += [f"{loss:.3f}", f"{row['seconds'] / 60:.1f}"]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--start", required=True, help="the assembled preset")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument(
        "--scale", type=float, default=0.06, help="of the full training"
    )
    parser.add_argument(
        "--count", type=int, default=500, help="held-out records a task"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--variants", nargs="+", help="by the first words of their names"
    )
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "rows.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    for name, variant in variants(options.scale, default_dtype()).items():
        wanted = options.variants or [name]
        if name in rows or not name.startswith(tuple(wanted)):
            continue
        print(f"== {name}", flush=True)
        keras.utils.set_random_seed(options.seed)
        rows[name] = run_variant(name, *variant, options)
        write_text(path, json.dumps(rows, indent=1) + "\n")
    if options.table:
        print(table(rows))


if __name__ == "__main__":
    main()
