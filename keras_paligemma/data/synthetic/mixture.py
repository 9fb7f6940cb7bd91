"""The synthetic world's tasks as one mixture, to train on."""

import operator
from collections.abc import Sequence

from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.synthetic.world import SyntheticWorld

# English as often as all others together.
TRAINED_LANGUAGES = ("en",) * 5 + ("de", "fr", "es", "it", "pt")
# Of a part: more than any run draws.
SCENES = 10**7
# Scenes that a mixture keeps, the images and masks of which are held.
KEPT_SCENES = 32


def synthetic_mixture(
    weights,
    image_size,
    seed=0,
    codec=None,
    languages=TRAINED_LANGUAGES,
    part=0,
    tasks_per_scene=1,
):
    """Draws the world's records as they are read.

    Objects stand in the suffixes in canonical order, the largest first, which
    a small model learns sooner than a shuffled one.

    Args:
        weights: dict of task to weight, or a sequence of such pairs; a
            stage's `mixture`.
        image_size: int. Side of the images in pixels.
        seed: int. Of the world and of the mixture.
        codec: what codes masks, if the weights name segment.
        languages: sequence of str. As for `SyntheticWorld`.
        part: int. Parts of the world have no scene in common: one for each
            stage of a training.
        tasks_per_scene: int. How many examples, of as many tasks, there are
            about a scene. They stand close together, and the scene is drawn
            once: for where training waits for pictures, as beside a GPU. No
            task asks about a scene twice: one that is more than one of so
            many examples takes more scenes.

    Returns:
        A `Mixture` of the split "train".

    Raises:
        ValueError: If `tasks_per_scene` is below 1.

    Example:

    ```python
    mixture = synthetic_mixture({"caption": 3, "ocr": 1}, image_size=112)
    mixture[0].prefix  # "caption en"
    ```
    """
    if tasks_per_scene < 1:
        raise ValueError(
            "`tasks_per_scene` must be 1 or more. Received: "
            f"tasks_per_scene={tasks_per_scene}"
        )
    world = SyntheticWorld(
        image_size,
        seed=seed,
        split="train",
        languages=languages,
        order="canonical",
        codec=codec,
    )
    weights = {task: float(weight) for task, weight in dict(weights).items()}
    start = part * SCENES
    if tasks_per_scene == 1:
        sources = {
            task: (world.task(task, SCENES, start), weight)
            for task, weight in weights.items()
        }
        return Mixture(sources, seed=seed)
    scenes = _RecentScenes(world)
    total = sum(weights.values())
    sources = {}
    for task, weight in weights.items():
        stride = max(1.0, total / (weight * tasks_per_scene))
        sources[task] = (_InStep(scenes, task, start, stride), weight)
    return Mixture(sources, seed=seed, shuffle=False)


class _RecentScenes:
    """The scenes of a world, of which the last are kept."""

    def __init__(self, world):
        self.world = world
        self._recent = {}

    def __reduce__(self):
        return type(self), (self.world,)

    def __call__(self, index, focus):
        scene = self._recent.get((index, focus))
        if scene is None:
            scene = self.world.scene(index, focus)
            if len(self._recent) >= KEPT_SCENES:
                self._recent = {}
            self._recent[index, focus] = scene
        return scene


class _InStep(Sequence):
    """The records of a task, at the scenes where the whole mixture stands."""

    def __init__(self, scenes, task, start, stride):
        self.scenes = scenes
        self.task = task
        self.start = start
        self.stride = stride

    def __len__(self):
        return int(SCENES / self.stride)

    def __getitem__(self, number):
        number = operator.index(number)
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(
                f"A number from 0 to {len(self) - 1} is needed. Received: "
                f"{number}"
            )
        index = self.start + int(number * self.stride)
        return self.scenes.world.example(index, self.task, self.scenes)
