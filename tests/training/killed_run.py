"""A small run in a process that kills itself; `python -m` with a JSON line.

The process forks before any backend has begun to work, so that imports are
paid once: each child lives until its kill point, the last one to the end.
"""

import json
import os
import random
import signal
import sys
import time

import keras
import numpy as np

from keras_paligemma.training import ComponentAdam
from keras_paligemma.training import CosineSchedule
from keras_paligemma.training import TrainingBatches
from keras_paligemma.training.callbacks import StepCallback
from keras_paligemma.training.callbacks import TrainingCheckpoint
from keras_paligemma.training.checkpointing.run_state import read_variables
from keras_paligemma.training.checkpointing.run_state import run_variables
from tests.models.tiny_models import tiny_backbone
from tests.models.tiny_models import tiny_task

STEPS, STEPS_PER_EPOCH, BATCH_SIZE = 41, 2, 2
MOMENTS = ("before", "after", "saving")


class Source:
    """Model inputs drawn from the index alone."""

    def batch(self, start, size):
        return [self.example(index) for index in range(start, start + size)]

    def example(self, index):
        generator = np.random.default_rng([7, index])
        return {
            "images": generator.uniform(-1, 1, (28, 28, 3)).astype("float32"),
            "token_ids": generator.integers(1, 300, 6).astype("int32"),
            "padding_mask": np.ones(6, "int32"),
            "response_mask": np.array([0, 0, 0, 1, 1, 1], "int32"),
            "targets": generator.integers(1, 300, 6).astype("int32"),
        }


def stack(examples):
    arrays = {
        name: np.stack([example[name] for example in examples])
        for name in examples[0]
    }
    targets = arrays.pop("targets")
    return arrays, targets, arrays["response_mask"].astype("float32")


class Killer(StepCallback):
    """Kills this process at a step, at one of three moments."""

    def __init__(self, step, moment, delay):
        super().__init__()
        self.kill_step, self.moment, self.delay = step, moment, delay

    def on_train_batch_begin(self, batch, logs=None):
        self.kill_at("before", self.step + 1)

    def on_step_end(self, step, logs):
        self.kill_at("after", step)

    def on_epoch_end(self, epoch, logs=None):
        # After this epoch's checkpoint was begun.
        self.kill_at("saving", self.step)

    def kill_at(self, moment, step):
        if moment == self.moment and step >= self.kill_step:
            time.sleep(self.delay)
            os.kill(os.getpid(), signal.SIGKILL)


class Counter(StepCallback):
    """Adds up losses: a callback whose count must survive."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.draws = 0.0

    def on_step_end(self, step, logs):
        self.batches += 1
        self.draws += random.random() + np.random.random()

    def get_state(self):
        return {"batches": self.batches, "draws": self.draws}

    def set_state(self, state):
        vars(self).update(state)


def train(directory, kill=None):
    """Trains to the end, or dies; returns what a run leaves behind."""
    keras.utils.set_random_seed(3)
    task = tiny_task(tiny_backbone(dropout=0.2), optimizer=optimizer())
    batches = TrainingBatches(
        Source(), stack, BATCH_SIZE, STEPS, STEPS_PER_EPOCH
    )
    counter = Counter()
    stopping = keras.callbacks.EarlyStopping("loss", patience=1000)
    killer = Killer(*kill) if kill else StepCallback()
    checkpoint = TrainingCheckpoint(
        directory, [counter, stopping, killer], keep=2, keep_every=10
    )
    first = checkpoint.restore(task, batches)
    task.fit(
        batches,
        epochs=batches.num_epochs,
        initial_epoch=first,
        # The killer stands behind the checkpoint, to kill while it writes.
        callbacks=[counter, stopping, checkpoint, killer],
        verbose=0,
    )
    steps = checkpoint.store.steps()
    checkpoint.store.close()
    values = read_variables(run_variables(task))
    facts = {
        "steps": steps,
        "counter": counter.get_state(),
        "wait": stopping.wait,
        "best": float(stopping.best),
    }
    return values, facts


def optimizer():
    slow = CosineSchedule(peak=1e-3, warmup_steps=30, total_steps=STEPS)
    fast = CosineSchedule(peak=1e-2, warmup_steps=4, total_steps=STEPS)
    return ComponentAdam(
        [("(.*/)?image_encoder/.*", slow), (".*", fast)], global_clipnorm=1.0
    )


def kill_points(count, seed):
    generator = random.Random(seed)
    steps = sorted(generator.choices(range(1, STEPS), k=count))
    return [
        (step, generator.choice(MOMENTS), generator.random() * 0.02)
        for step in steps
    ]


def in_a_child(directory, kill, output=None):
    """Runs `train` in a fork; returns how it ended."""
    child = os.fork()
    if not child:
        code = 1
        try:
            values, facts = train(directory, kill)
            if output:
                np.savez(output, facts=json.dumps(facts), **values)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main(directory, count, seed):
    whole, broken = f"{directory}/whole", f"{directory}/broken"
    ends = [in_a_child(whole, None, f"{directory}/whole.npz")]
    for kill in kill_points(count, seed):
        ends.append(in_a_child(broken, kill))
    ends.append(in_a_child(broken, None, f"{directory}/broken.npz"))
    print(json.dumps(ends))


if __name__ == "__main__":
    if keras.backend.backend() == "jax":
        # Children compile the same; files hold what the first one made.
        import jax

        jax.config.update("jax_compilation_cache_dir", sys.argv[1] + "/cache")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
