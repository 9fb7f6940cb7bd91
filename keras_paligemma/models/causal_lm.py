"""PaliGemma with its task: images and a prompt in, text out."""

import re

import keras
import keras_hub

from keras_paligemma.layers import ResponseAccuracy
from keras_paligemma.layers import ResponseCrossentropy
from keras_paligemma.models.backbone import PaliGemmaBackbone
from keras_paligemma.models.chunked_training import TARGET_MASK
from keras_paligemma.models.chunked_training import TARGETS
from keras_paligemma.models.chunked_training import ChunkedTraining
from keras_paligemma.models.fitting import RawFitting
from keras_paligemma.models.generating import TextGeneration
from keras_paligemma.models.inputs import complete_inputs
from keras_paligemma.models.presets import CausalLMPresets
from keras_paligemma.models.scoring import Scoring
from keras_paligemma.models.torch_processes import TorchProcesses
from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor


@keras.saving.register_keras_serializable(package="keras_paligemma")
class PaliGemmaCausalLM(
    CausalLMPresets,
    TextGeneration,
    Scoring,
    RawFitting,
    ChunkedTraining,
    TorchProcesses,
    keras_hub.models.CausalLM,
):
    """PaliGemma that captions, reads, answers, asks, detects and segments.

    Args:
        preprocessor: `PaliGemmaCausalLMPreprocessor`, or `None` to take
            model inputs everywhere instead of images and text.
        backbone: `PaliGemmaBackbone`.

    Call arguments:
        inputs: dict as `PaliGemmaBackbone` takes it.

    Returns:
        float32 logits `[batch, length, vocabulary]` of the text positions.

    Examples:

    ```python
    model = PaliGemmaCausalLM.from_preset("pali_gemma_3b_mix_224")
    model.generate({"images": "cow.jpg", "prompts": "caption en"})
    model.generate(
        {
            "images": ["cow.jpg", "boat.jpg"],
            "prompts": ["answer en how many cows?", "caption en"],
        },
        strip_prompt=True,
    )
    ```

    Fine-tune on images with prompts and answers.
    ```python
    model.compile(optimizer=keras.optimizers.Adam(1e-5))
    model.fit(
        {
            "images": ["cow.jpg", "boat.jpg"],
            "prompts": ["caption en", "caption en"],
            "responses": ["a cow on a beach", "a boat at sea"],
        },
        batch_size=2,
    )
    ```
    """

    backbone_cls = PaliGemmaBackbone
    preprocessor_cls = PaliGemmaCausalLMPreprocessor

    def __init__(self, preprocessor, backbone, **kwargs):
        # === Layers ===
        self.preprocessor = preprocessor
        self.backbone = backbone

        # === Functional Model ===
        inputs = backbone.input
        logits = backbone.token_embedding(backbone(inputs), reverse=True)
        super().__init__(inputs=inputs, outputs=logits, **kwargs)
        # `call` checks and completes the inputs itself.
        self.input_spec = None

    def call(self, inputs, training=None, mask=None, **kwargs):
        inputs = dict(inputs)
        targets = inputs.pop(TARGETS, None)
        target_mask = inputs.pop(TARGET_MASK, None)
        inputs = complete_inputs(inputs, self.backbone.image_size)
        if targets is not None:
            return self.token_results(inputs, targets, target_mask, training)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def compute_output_spec(self, inputs, training=None, mask=None):
        inputs = complete_inputs(inputs, self.backbone.image_size)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        """Quantizes kernels and the token embedding.

        Args:
            mode, config, filters, **kwargs: As `keras.Model.quantize`.
        """

        def wanted(layer):
            # Keras would refuse parts of the preprocessor that have not run,
            # and warn of each layer that has nothing to quantize.
            if type(layer).quantize is keras.Layer.quantize:
                return False
            if filters is None or callable(filters):
                return filters is None or filters(layer)
            patterns = [filters] if isinstance(filters, str) else filters
            return any(re.search(pattern, layer.name) for pattern in patterns)

        super().quantize(mode, config=config, filters=wanted, **kwargs)
        self.forget_compiled()

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        metrics=None,
        weighted_metrics="auto",
        sampler="greedy",
        label_smoothing=0.0,
        **kwargs,
    ):
        """Configures training and generation.

        Args:
            optimizer: As `keras.Model.compile`; `"auto"` is Adam at 1e-5,
                the published rate of transfers.
            loss: As `keras.Model.compile`; `"auto"` is
                `ResponseCrossentropy`: suffix and EOS only, each example
                counting the same, scored in chunks of tokens, so that
                training never holds the logits of all.
            metrics: As `keras.Model.compile`. Metrics of your own get all
                logits, which take memory.
            weighted_metrics: As `keras.Model.compile`; `"auto"` is the
                share of right tokens in the response.
            sampler: string or `keras_hub.samplers.Sampler`. What `generate`
                uses.
            label_smoothing: float. Of the `"auto"` loss.
            **kwargs: Further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.Adam(1e-5)
        if loss == "auto":
            loss = ResponseCrossentropy(label_smoothing=label_smoothing)
        elif label_smoothing:
            raise ValueError(
                "`label_smoothing` belongs to the default loss; give it to "
                f"your own loss instead. Received: loss={loss}, "
                f"label_smoothing={label_smoothing}"
            )
        if weighted_metrics == "auto":
            weighted_metrics = [ResponseAccuracy()]
        self._metrics_need_no_logits = not metrics and all(
            type(metric) is ResponseAccuracy
            for metric in keras.tree.flatten(weighted_metrics or [])
        )
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            sampler=sampler,
            **kwargs,
        )

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            config["sampler"] = keras.saving.serialize_keras_object(
                self.sampler
            )
            if self._jit_on_cpu:
                # Not what "auto" meant on this machine.
                config["jit_compile"] = "auto"
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            # So that its saved state has a place to go.
            self.optimizer.build(self.trainable_variables)
