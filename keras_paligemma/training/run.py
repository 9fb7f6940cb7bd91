"""A whole run in one call: compile, go on where it stood, fit, save."""

import dataclasses
import math

from keras_paligemma.training.callbacks import ComponentRates
from keras_paligemma.training.callbacks import ExamplesSeen
from keras_paligemma.training.callbacks import JSONLog
from keras_paligemma.training.callbacks import PredictionPictures
from keras_paligemma.training.callbacks import ProgressBar
from keras_paligemma.training.callbacks import StopOnNonFinite
from keras_paligemma.training.callbacks import TensorBoardLogs
from keras_paligemma.training.callbacks import TextSamples
from keras_paligemma.training.callbacks import Throughput
from keras_paligemma.training.callbacks import TrainingCheckpoint
from keras_paligemma.training.compiling import compile_for_stage
from keras_paligemma.training.processes import data_share
from keras_paligemma.training.processes import is_chief
from keras_paligemma.training.training_batches import TrainingBatches
from keras_paligemma.training.workdir import Workdir


def train(
    model,
    stage,
    data,
    workdir,
    validation_data=None,
    total_steps=None,
    examples_per_epoch=None,
    checkpoint_every=None,
    keep=2,
    keep_every=None,
    gradient_accumulation_steps=None,
    samples=None,
    log_every=10,
    length_window=1,
    callbacks=(),
    facts=None,
    verbose=True,
    **compile_options,
):
    """Trains a model through one stage; started again, it goes on.

    It is `compile_for_stage`, `TrainingBatches`, callbacks, `model.fit` and
    `save_to_preset`, in that order, with nothing between them that they do
    not do by themselves.

    Example:

    ```python
    stage = recipe("textcaps", 224)
    model = PaliGemmaCausalLM.from_preset(
        "pali_gemma_3b_pt_224", **stage.model_arguments()
    )
    data = Mixture({"textcaps": (read_jsonl("train.jsonl"), 1.0)})
    train(model, stage, data, workdir="runs/textcaps")
    ```

    Args:
        model: `PaliGemmaCausalLM`, made with `stage.model_arguments()`.
        stage: `Stage`.
        data: object with `batch(start, size)`; a `Mixture`.
        workdir: path. See `Workdir`.
        validation_data: raw examples to evaluate on at every checkpoint.
        total_steps: int. Updates, if not the stage's own number.
        examples_per_epoch: int. Of the stage's durations in epochs;
            `data.examples_per_epoch` by default.
        checkpoint_every: int. Updates from one checkpoint, and evaluation,
            to the next; by default a twentieth of the run, from 10 to 1000.
        keep, keep_every: As for `TrainingCheckpoint`, in updates.
        gradient_accumulation_steps: int or `None`. Into how many batches one
            of the stage's is divided; the update is the same.
        samples: raw examples, whose predictions are printed and drawn at
            every checkpoint.
        log_every: int. Updates from one line of the log to the next.
        length_window: int. See `TrainingBatches`: more than 1 pads less.
        callbacks: list of callbacks of your own. What they count is kept.
        facts: dict that JSON can hold. More of what tells this run from
            others: the preset it began with, for instance.
        verbose: bool. Whether to draw a progress bar.
        **compile_options: Further arguments of `compile`.

    Returns:
        The `keras.callbacks.History` of this part of the run, or `None` if
        the run had ended before.

    Raises:
        ValueError: If something does not fit, before anything is written.
        OSError: If a checkpoint cannot be written; the last one stays.
    """
    if examples_per_epoch is None:
        examples_per_epoch = getattr(data, "examples_per_epoch", None)
    updates = total_steps or stage.total_steps(examples_per_epoch)
    split = gradient_accumulation_steps or 1
    if stage.batch_size % split:
        raise ValueError(
            "`gradient_accumulation_steps` must divide the stage's batch "
            f"size. Received: gradient_accumulation_steps={split}, "
            f"batch_size={stage.batch_size}"
        )
    if checkpoint_every is None:
        checkpoint_every = max(10, min(1000, math.ceil(updates / 20)))
    compile_for_stage(
        model,
        stage,
        updates,
        examples_per_epoch,
        gradient_accumulation_steps,
        **compile_options,
    )
    share, shares = data_share()
    # A reader process reads one batch at a time: each is kept at work.
    threads = max(2, getattr(data, "workers", 0))
    batches = TrainingBatches(
        data,
        model.preprocessor,
        stage.batch_size // split,
        total_steps=updates * split,
        steps_per_epoch=min(checkpoint_every, updates) * split,
        process_index=share,
        process_count=shares,
        threads=threads,
        ahead=2 * threads,
        length_window=length_window,
    )
    workdir = Workdir(workdir)
    run = describe_run(model, stage, data, updates, split, facts)
    if length_window > 1:
        run["length_window"] = length_window
    if is_chief():
        workdir.claim(run)
    watching = [
        *_watchers(model, batches, samples, workdir, log_every * split),
        *callbacks,
    ]
    if verbose and is_chief():
        watching.append(ProgressBar(batches.total_steps, batches.batch_size))
    checkpoint = TrainingCheckpoint(
        workdir.checkpoints,
        watching,
        keep=keep,
        keep_every=keep_every and keep_every * split,
        run=run,
    )
    first = checkpoint.restore(model, batches)
    history = None
    try:
        if first < batches.num_epochs:
            history = model.fit(
                batches,
                epochs=batches.num_epochs,
                initial_epoch=first,
                validation_data=validation_data,
                # Of the validation data.
                batch_size=batches.batch_size,
                callbacks=[*watching, checkpoint],
                verbose=0,
            )
    finally:
        checkpoint.store.close()
    if is_chief():
        model.save_to_preset(str(workdir.model))
    return history


def describe_run(model, stage, data, updates, split, facts=None):
    """What a run follows from, as a dict that JSON can hold."""
    settings = dataclasses.asdict(stage)
    settings["rates"] = [
        [pattern, rate and dataclasses.asdict(rate)]
        for pattern, rate in stage.rates
    ]
    describe = getattr(data, "describe", None)
    return {
        **settings,
        "updates": updates,
        "gradient_accumulation_steps": split,
        "parameters": model.count_params(),
        "data": describe() if describe else type(data).__name__,
        **(facts or {}),
    }


def _watchers(model, batches, samples, workdir, log_every):
    """The callbacks of a run that look, count and write."""
    tokens = model.preprocessor.sequence_length
    watchers = [
        # To look at a loss waits for its step.
        StopOnNonFinite(batches, every=log_every),
        ComponentRates(every=log_every),
        Throughput(batches.batch_size, tokens, every=log_every),
    ]
    if hasattr(batches.source, "examples_seen"):
        watchers.append(
            ExamplesSeen(batches.source, batches.batch_size, every=log_every)
        )
    if samples is not None:
        # All processes generate, for the weights may be spread over them.
        texts = TextSamples(
            samples,
            every=batches.steps_per_epoch,
            write=print if is_chief() else _no_text,
        )
        watchers.append(texts)
    if not is_chief():
        return watchers
    if samples is not None:
        watchers.append(
            PredictionPictures(texts, batches.steps_per_epoch, workdir.pictures)
        )
    watchers.append(JSONLog(workdir.log, every=log_every))
    if _has_tensorboard():
        watchers.append(
            TensorBoardLogs(workdir.tensorboard, log_every, workdir.pictures)
        )
    return watchers


def _no_text(text):
    """Says nothing: another process does."""


def _has_tensorboard():
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        return False
    return True
