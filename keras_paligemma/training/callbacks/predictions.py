"""What a model says to fixed examples, in the midst of training."""

import dataclasses

from keras_paligemma.training.callbacks.undisturbed import undisturbed


@dataclasses.dataclass(frozen=True)
class Prediction:
    """An example and what a model made of it.

    Args:
        images: path, `PIL.Image`, array, or a list of them.
        prompt: string.
        expected: string or `None`.
        predicted: string.
    """

    images: object
    prompt: str
    expected: str | None
    predicted: str


def check_examples(examples):
    """Returns raw examples as a dict of lists of one length.

    Args:
        examples: dict of lists `images`, `prompts` and, if there are any,
            `responses`; or of one of each.

    Raises:
        ValueError: If it is not of that form, or there are no examples.
    """
    form = (
        "`examples` must be a dict of lists `images` and `prompts`, and "
        "`responses` if answers are known, all of one length. "
    )
    if not isinstance(examples, dict):
        raise ValueError(f"{form}Received: {type(examples).__name__}")
    spare = set(examples) - {"images", "prompts", "responses"}
    if spare or not {"images", "prompts"} <= set(examples):
        raise ValueError(f"{form}Received: keys {sorted(examples)}")
    if isinstance(examples["prompts"], str):
        examples = {key: [value] for key, value in examples.items()}
    examples = {key: list(value) for key, value in examples.items()}
    lengths = {key: len(value) for key, value in examples.items()}
    if len(set(lengths.values())) != 1 or not lengths["prompts"]:
        raise ValueError(f"{form}Received: lengths {lengths}")
    return examples


def predict(model, examples, batch_size=8, max_length=None, seed=0):
    """Generates a text for each example; training does not notice.

    Args:
        model: `PaliGemmaCausalLM` with a preprocessor, as `callback.model`
            gives it.
        examples: dict of lists, as `check_examples` returns it.
        batch_size: int. Examples that are decoded together.
        max_length: int or `None`. As for `generate`.
        seed: int. For samplers that draw.

    Returns:
        A list of `Prediction`.
    """
    count = len(examples["prompts"])
    texts = []
    with undisturbed(model):
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            batch = {k: examples[k][rows] for k in ("images", "prompts")}
            texts += model.generate(
                batch, max_length=max_length, strip_prompt=True, seed=seed
            )
    expected = examples.get("responses", [None] * count)
    rows = (examples["images"], examples["prompts"], expected, texts)
    return [Prediction(*row) for row in zip(*rows, strict=True)]
