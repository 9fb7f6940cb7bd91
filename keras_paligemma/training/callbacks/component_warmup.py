"""A linear warm-up of one component, as the image encoder needs it."""

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.step_callback import StepCallback
from keras_paligemma.training.optimizer import ComponentOptimizer


class ComponentWarmup(StepCallback):
    """Multiplies the rate of one component by a linear warm-up.

    At the beginning of stage 1 the decoder's first gradients could destroy
    what the image encoder knows: its rate rises slowly from zero (arXiv
    2407.07726, section 3.2.1). The step counts updates of the optimizer, so
    a resumed run goes on along the ramp.

    Example:

    ```python
    model.compile(optimizer=ComponentAdam([(".*", 2e-5)]))
    model.fit(batches, callbacks=[ComponentWarmup("image_encoder", 1000)])
    ```

    Args:
        component: string. `"image_encoder"`, `"projector"`, `"embedding"` or
            `"decoder"`.
        steps: int. Updates until the rate is whole.

    Raises:
        ValueError: In `fit`, if the optimizer has one rate for all.
    """

    def __init__(self, component="image_encoder", steps=1000):
        super().__init__()
        self.component = component
        self.warmup_steps = check_every(steps, "steps")

    def on_train_begin(self, logs=None):
        model = self.model
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        if not isinstance(optimizer, ComponentOptimizer):
            raise ValueError(
                "A component has a rate of its own only in `ComponentAdam` "
                'and `ComponentAdafactor`: compile with `ComponentAdam([(".*",'
                " rate)])`. Received: optimizer="
                f"{type(optimizer).__name__}"
            )
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        if optimizer.plan.warm_up(self.component, self.warmup_steps):
            # One traced before has the old rates in it.
            model.make_train_function(force=True)
