"""Trains the tiny PaliGemma from nothing to its three presets.

    python -m examples.pretrain_tiny --workdir runs/tiny

Stage 0: a vocabulary, a SigLIP and a Gemma on the synthetic world, assembled
by `from_unimodal`. Stage 1: all seven tasks at 112 px. Stage 2: reweighted, at
224 px. Stage 3: the mix, and handwritten digits as a transfer to real images,
beside the same from the model that stages 1 to 3 began with. Every stage is a
`Stage` and an ordinary `fit`; started again with the same words, the run goes
on where it stood. On two CPU cores PyTorch is the fastest backend for it:
`KERAS_BACKEND=torch`. On a GPU, JAX, with `--dtype mixed_bfloat16
--length-window 1 --tasks-per-scene 4`, as many `--readers` as there are cores
but one, and more `--examples`.
"""

import argparse
import ctypes
import os
import pathlib
import sys

import keras

from examples.tiny_unimodal import make_unimodal
from examples.tiny_unimodal import smooth_locations
from examples.transfer_digits import transfer
from keras_paligemma import PaliGemmaBackbone
from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma import PaliGemmaCausalLMPreprocessor
from keras_paligemma import PaliGemmaImageConverter
from keras_paligemma.data import ReaderProcesses
from keras_paligemma.data.synthetic import TRAINED_LANGUAGES
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic import synthetic_mixture
from keras_paligemma.tasks.mask_vqvae import load_mask_codec
from keras_paligemma.training import tiny_stages
from keras_paligemma.training import train
from keras_paligemma.training.tiny_stages import EXAMPLES

# The names of the stages' last models within the package.
SHIPPED = {
    "stage_1": "pali_gemma_tiny_112",
    "stage_2": "pali_gemma_tiny_224",
    "mix": "pali_gemma_tiny_mix_224",
}
# Of glibc's <malloc.h>: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD.
MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 2**28, -3: 2**30}


def assemble(workdir, scale, seed, readers, dtype):
    """Stage 0; returns the path of the assembled preset."""
    path = workdir / "stage_0" / "model"
    if (path / "config.json").exists():
        return path
    tokenizer, siglip, gemma = make_unimodal(
        workdir / "stage_0",
        SyntheticWorld(112, seed=seed, languages=TRAINED_LANGUAGES),
        steps=max(2, round(6_000 * scale)),
        scenes=max(64, round(64_000 * scale)),
        texts=max(2_000, round(20_000 * scale)),
        epochs=max(1, round(2 * scale)),
        readers=readers,
        dtype=dtype,
    )
    backbone = PaliGemmaBackbone.from_unimodal(
        str(siglip), str(gemma), seed=seed
    )
    smooth_locations(backbone, tokenizer)
    preprocessor = PaliGemmaCausalLMPreprocessor(
        tokenizer, PaliGemmaImageConverter(image_size=(112, 112))
    )
    model = PaliGemmaCausalLM(backbone=backbone, preprocessor=preprocessor)
    model.save_to_preset(str(path))
    return path


def run_stage(stage, preset, workdir, options, part):
    """One stage; returns the path of the model that it ends with."""
    mixture = synthetic_mixture(
        stage.mixture,
        stage.image_size,
        options.seed,
        load_mask_codec(),
        part=part,
        tasks_per_scene=options.tasks_per_scene,
    )
    samples = None
    if options.samples:
        # Far past what any stage reads.
        samples = mixture.batch(10**6, options.samples)
    at_once = None
    if options.readers >= os.cpu_count():
        # Drawn in one go, while the training waits: 600 MB of pictures.
        at_once = min(16_384 * 112**2 // stage.image_size**2, stage.examples)
    # The processes start while the model is loaded.
    with ReaderProcesses(mixture, options.readers, at_once) as source:
        model = PaliGemmaCausalLM.from_preset(
            str(preset), **stage.model_arguments()
        )
        train(
            model,
            stage,
            source,
            workdir,
            samples=samples,
            log_every=20,
            length_window=options.length_window,
            facts={
                "preset": str(preset),
                "seed": options.seed,
                "part": part,
            },
        )
    return workdir / "model"


def ship(models, folder):
    """Writes the models that go into the package, in float16.

    Keras loads them in its own policy, float32 unless told otherwise.
    """
    for stage, preset in models.items():
        model = PaliGemmaCausalLM.from_preset(str(preset), dtype="float16")
        model.save_to_preset(str(folder / SHIPPED[stage]))


def keep_freed_memory():
    """Lets the C library keep the memory that tensors give back.

    Else it returns large pieces at once, and the kernel clears each anew: a
    quarter of a step of PyTorch on two cores.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    for option, size in MALLOC_OPTIONS.items():
        if hasattr(library, "mallopt"):
            library.mallopt(option, size)


def default_dtype():
    """The policy that trains fastest on a CPU."""
    fast = keras.config.backend() == "torch"
    return "mixed_bfloat16" if fast else "float32"


def stage_length(text):
    """A stage and its number of examples, as words of the command say it."""
    name, _, number = text.partition("=")
    return name, int(number)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="on the number of examples"
    )
    parser.add_argument(
        "--examples",
        type=stage_length,
        nargs="+",
        default=(),
        metavar="STAGE=NUMBER",
        help="other lengths than the usual: stage_2=640000",
    )
    parser.add_argument("--readers", type=int, default=2, help="processes")
    parser.add_argument(
        "--tasks-per-scene",
        type=int,
        default=1,
        help="more where drawing is what training waits for",
    )
    parser.add_argument(
        "--length-window",
        type=int,
        default=4,
        help="batches sorted by length together; 1 where shapes are compiled",
    )
    parser.add_argument(
        "--dtype", default=default_dtype(), help="Keras' dtype policy"
    )
    parser.add_argument(
        "--samples", type=int, default=8, help="answers shown as it learns"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--start",
        metavar="PRESET",
        help="train this one on, in the place of what --first leaves out",
    )
    parser.add_argument(
        "--first",
        choices=list(EXAMPLES),
        default="stage_1",
        help="the stage that --start goes on with",
    )
    parser.add_argument(
        "--ship",
        type=pathlib.Path,
        metavar="FOLDER",
        help="where the three presets go, in float16",
    )
    options = parser.parse_args(arguments)
    if options.start is None and options.first != "stage_1":
        parser.error(f"--first {options.first} needs --start")
    stages = tiny_stages(options.scale, options.dtype, dict(options.examples))
    keep_freed_memory()
    keras.utils.set_random_seed(options.seed)
    start = options.start
    if start is None:
        start = assemble(
            options.workdir,
            options.scale,
            options.seed,
            options.readers,
            options.dtype,
        )
    first = list(stages).index(options.first)
    before, ahead = list(stages)[:first], list(stages)[first:]
    models = dict.fromkeys(before[-1:], start)
    preset = start
    for name in ahead:
        print(f"== {name}", flush=True)
        # No scene is seen in two stages.
        part = list(stages).index(name)
        preset = run_stage(
            stages[name], preset, options.workdir / name, options, part
        )
        models[name] = preset
    epochs = 4 * min(1.0, max(0.0125, options.scale))
    for name, model in (("start", start), (ahead[0], models[ahead[0]])):
        workdir = options.workdir / f"digits_from_{name}"
        accuracy = transfer(model, workdir, epochs, options.dtype, options.seed)
        print(f"digits, from {name}: {accuracy:.3f} of the held-out right")
    if options.ship:
        ship(models, options.ship)
    print(f"{preset} is the mix")


if __name__ == "__main__":
    main()
