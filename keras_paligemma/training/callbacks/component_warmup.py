"""A linear warm-up of one component, as the image encoder needs it."""

from keras_paligemma.training.callbacks.checks import check_every
from keras_paligemma.training.callbacks.rate_tables import component_optimizer
from keras_paligemma.training.callbacks.step_callback import StepCallback


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
        ValueError: In `fit`, if the optimizer has one rate for all, or no
            variable of the component is trained.
    """

    def __init__(self, component="image_encoder", steps=1000):
        super().__init__()
        if not isinstance(component, str) or not component:
            raise ValueError(
                "`component` must be the name of a component, such as "
                f'"image_encoder". Received: component={component!r}'
            )
        self.component = component
        self.warmup_steps = check_every(steps, "steps")

    def on_train_begin(self, logs=None):
        model = self.model
        optimizer = component_optimizer(model)
        if optimizer.plan.warm_up(self.component, self.warmup_steps):
            # One traced before has the old rates in it.
            model.make_train_function(force=True)
