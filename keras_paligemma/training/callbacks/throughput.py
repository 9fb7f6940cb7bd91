"""Examples and tokens a second, and the share of the hardware's peak."""

import time

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.flops import device_peak
from keras_paligemma.training.flops import training_flops


class Throughput(StepCallback):
    """Puts speed into the logs: examples, tokens, model FLOP utilisation.

    The time between two logs counts, waiting for data included; the first
    stretch, in which the step is compiled, is left out, and so is what
    happens between epochs. Evaluation at a cadence within an epoch counts.

    Example:

    ```python
    model.fit(batches, callbacks=[Throughput(64, text_length=128)])
    # logs: {"examples_per_second": 9.1, "tokens_per_second": 3494.4,
    #        "model_flops_utilization": 0.41}
    ```

    Args:
        batch_size: int. Examples a step, of all processes together.
        text_length: int. Text tokens of an example, padding included.
        num_images: int. Images of an example.
        peak_flops: float or `None`. FLOP/s of all devices together; by
            default what the data sheet of a known device says, and without
            one there is no utilisation.
        every: int. Steps from one log to the next.
        loss_tokens: int or `None`. Tokens of an example whose logits are
            computed: those in the loss, where the default loss is used. By
            default all text tokens, which counts a few percent too many.

    Raises:
        ValueError: If a number does not fit.
    """

    def __init__(
        self,
        batch_size,
        text_length,
        num_images=1,
        peak_flops=None,
        every=10,
        loss_tokens=None,
    ):
        super().__init__()
        for name, value in (
            ("batch_size", batch_size),
            ("text_length", text_length),
            ("num_images", num_images),
        ):
            check_every(value, name)
        if peak_flops is not None and not peak_flops > 0:
            raise ValueError(
                "`peak_flops` must be a positive number of operations a "
                f"second, or `None`. Received: peak_flops={peak_flops}"
            )
        if loss_tokens is not None:
            check_every(loss_tokens, "loss_tokens")
        self.batch_size = batch_size
        self.text_length = text_length
        self.num_images = num_images
        self.peak_flops = peak_flops
        self.loss_tokens = loss_tokens
        self.every = check_every(every)
        self.last = {}
        self._mark = None
        self._compiled = False

    def on_train_begin(self, logs=None):
        backbone = self.model.backbone
        self._tokens = (
            self.num_images * backbone.image_sequence_length + self.text_length
        )
        self._flops = training_flops(
            backbone.get_config(),
            self.text_length,
            self.num_images,
            self.loss_tokens,
        )
        if self.peak_flops is None:
            self.peak_flops = device_peak(backbone.compute_dtype)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._mark = (time.monotonic(), self.step) if self._compiled else None

    def on_step_end(self, step, logs):
        if not self.due(self.every):
            return
        # Waits for the device, without which only dispatch would be timed.
        float(logs.get("loss", 0.0))
        now = time.monotonic()
        if self._mark is not None:
            seconds, steps = now - self._mark[0], step - self._mark[1]
            self.last = self.speeds(steps / max(seconds, 1e-9))
        self._mark = (now, step)
        self._compiled = True
        logs.update(self.last)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self.last)

    def speeds(self, steps_per_second):
        """The log entries of a speed."""
        examples = steps_per_second * self.batch_size
        speeds = {
            "examples_per_second": examples,
            "tokens_per_second": examples * self._tokens,
        }
        if self.peak_flops:
            speeds["model_flops_utilization"] = (
                examples * self._flops / self.peak_flops
            )
        return speeds
