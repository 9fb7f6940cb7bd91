"""The synthetic world's tasks as one mixture, to train on."""

from keras_paligemma.data.mixture import Mixture
from keras_paligemma.data.synthetic.world import SyntheticWorld

# English as often as all others together.
TRAINED_LANGUAGES = ("en",) * 5 + ("de", "fr", "es", "it", "pt")
# More than any run draws; the world has no end.
RECORDS = 10**7


def synthetic_mixture(
    weights, image_size, seed=0, codec=None, languages=TRAINED_LANGUAGES
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

    Returns:
        A `Mixture` of the split "train".

    Example:

    ```python
    mixture = synthetic_mixture({"caption": 3, "ocr": 1}, image_size=112)
    mixture[0].prefix  # "caption en"
    ```
    """
    world = SyntheticWorld(
        image_size,
        seed=seed,
        split="train",
        languages=languages,
        order="canonical",
        codec=codec,
    )
    sources = {
        task: (world.task(task, RECORDS), float(weight))
        for task, weight in dict(weights).items()
    }
    return Mixture(sources, seed=seed)
