"""What the model answers to fixed examples, now and then."""

import json
from pathlib import Path

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.json_log import keep_lines_until
from keras_paligemma.training.callbacks.predictions import check_examples
from keras_paligemma.training.callbacks.predictions import predict
from keras_paligemma.training.callbacks.step_callback import StepCallback


class TextSamples(StepCallback):
    """Prints prompt, expected and generated text at a cadence.

    Training goes on as if nothing had been generated, to the bit.

    Example:

    ```python
    examples = mixture.batch(0, 8)
    samples = TextSamples(examples, every=500, path="samples.jsonl")
    model.fit(batches, callbacks=[samples])
    # step 500
    #   prompt:    caption en
    #   expected:  a cat on a mat
    #   predicted: a cat
    ```

    Args:
        examples: dict of lists `images`, `prompts` and, if answers are known,
            `responses`, as `fit` takes them.
        every: int. Steps from one time to the next.
        path: path or `None`. Where to add a line of JSON for each example;
            lines of steps that a resumed run makes again are taken away.
        batch_size: int. Examples that are decoded together.
        max_length: int or `None`. Prompt and answer together, in tokens; by
            default the preprocessor's `sequence_length`.
        seed: int. For samplers that draw: the same each time.
        write: callable of a string, or `None` not to print.

    Attributes:
        predictions: list of `Prediction`. The newest ones.

    Raises:
        ValueError: If the examples or a number do not fit.
    """

    def __init__(
        self,
        examples,
        every,
        path=None,
        batch_size=8,
        max_length=None,
        seed=0,
        write=print,
    ):
        super().__init__()
        self.examples = check_examples(examples)
        self.every = check_every(every)
        self.path = None if path is None else Path(path)
        self.batch_size = check_every(batch_size, "batch_size")
        self.max_length = max_length
        self.seed = seed
        self.write = write
        self.predictions = []
        self._predicted_at = None

    def on_train_begin(self, logs=None):
        self._predicted_at = None
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                keep_lines_until(self.path, self.step)

    def on_step_end(self, step, logs):
        if not self.due(self.every):
            return
        predictions = self.predict_now()
        if self.write is not None:
            self.write(as_text(step, predictions))
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                for prediction in predictions:
                    line = as_line(step, prediction)
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def predict_now(self):
        """The predictions after the step just made, decoded once a step."""
        if self._predicted_at != self.step:
            self.predictions = predict(
                self.model,
                self.examples,
                self.batch_size,
                self.max_length,
                self.seed,
            )
            self._predicted_at = self.step
        return self.predictions


def as_text(step, predictions):
    """Predictions as lines to be read."""
    lines = [f"step {step}"]
    for prediction in predictions:
        lines.append(f"  prompt:    {prediction.prompt}")
        if prediction.expected is not None:
            lines.append(f"  expected:  {prediction.expected}")
        lines.append(f"  predicted: {prediction.predicted}")
    return "\n".join(lines)


def as_line(step, prediction):
    """A prediction as a dict that JSON can hold."""
    return {
        "step": step,
        "prompt": prediction.prompt,
        "expected": prediction.expected,
        "predicted": prediction.predicted,
    }
