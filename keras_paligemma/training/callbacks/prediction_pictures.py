"""Pictures of what the model makes of fixed images, now and then."""

from pathlib import Path

from keras_paligemma.evaluation import contact_sheet
from keras_paligemma.evaluation import prediction_picture
from keras_paligemma.evaluation import save_picture
from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.callbacks.text_samples import TextSamples


class PredictionPictures(StepCallback):
    """Writes a sheet of images with their texts and boxes at a cadence.

    Boxes of the prompt are blue, expected ones green, predicted ones red.
    Files are called by the step, `step_00000500.png`, and are whole or not
    there. `TensorBoardLogs` shows them if it is given the folder.

    Example:

    ```python
    samples = TextSamples(examples, every=500)
    pictures = PredictionPictures(samples, every=500, directory="pictures")
    model.fit(batches, callbacks=[samples, pictures])
    ```

    Args:
        examples: dict of lists `images`, `prompts` and, if answers are known,
            `responses`, as `fit` takes them; or a `TextSamples`, given to
            `fit` before this callback, so that nothing is decoded twice.
        every: int. Steps from one sheet to the next.
        directory: path.
        batch_size, max_length, seed: As for `TextSamples`; those of a
            `TextSamples` count.
        columns: int or `None`. Pictures a row.
        width: int. Of a picture, in pixels.
        decode_masks: callable or `None`. Of codes `[n, 16]`, which returns
            masks of the boxes `[n, 64, 64]` in 0..1: a mask codec's `decode`.

    Raises:
        ValueError: If the examples or a number do not fit.
    """

    def __init__(
        self,
        examples,
        every,
        directory,
        batch_size=8,
        max_length=None,
        seed=0,
        columns=None,
        width=320,
        decode_masks=None,
    ):
        super().__init__()
        self.every = check_every(every)
        self.directory = Path(directory)
        self.columns = columns and check_every(columns, "columns")
        self.width = check_every(width, "width")
        self.decode_masks = decode_masks
        self.samples = examples
        # Whether they are decoded for this callback alone.
        self._own = not isinstance(examples, TextSamples)
        if self._own:
            self.samples = TextSamples(
                examples,
                every,
                batch_size=batch_size,
                max_length=max_length,
                seed=seed,
            )

    def set_model(self, model):
        super().set_model(model)
        if self._own:
            self.samples.set_model(model)

    def on_step_end(self, step, logs):
        if not self.due(self.every):
            return
        if self._own:
            self.samples.step = step
        pictures = [
            prediction_picture(
                prediction.images,
                prediction.prompt,
                prediction.expected,
                prediction.predicted,
                self.width,
                self.decode_masks,
            )
            for prediction in self.samples.predict_now()
        ]
        save_picture(contact_sheet(pictures, self.columns), self.path(step))

    def path(self, step):
        """Where the sheet of a step lies."""
        return self.directory / f"step_{step:08d}.png"
