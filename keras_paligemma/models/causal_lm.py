"""PaliGemma with its task: images and a prompt in, text out."""

import keras
import keras_hub

from keras_paligemma.layers.response_crossentropy import ResponseCrossentropy
from keras_paligemma.models.backbone import PaliGemmaBackbone
from keras_paligemma.models.fitting import RawFitting
from keras_paligemma.models.generating import TextGeneration
from keras_paligemma.models.inputs import complete_inputs
from keras_paligemma.models.presets import CausalLMPresets
from keras_paligemma.models.scoring import Scoring
from keras_paligemma.preprocessing import PaliGemmaCausalLMPreprocessor


@keras.saving.register_keras_serializable(package="keras_paligemma")
class PaliGemmaCausalLM(
    CausalLMPresets,
    TextGeneration,
    Scoring,
    RawFitting,
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
        inputs = complete_inputs(inputs, self.backbone.image_size)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def compute_output_spec(self, inputs, training=None, mask=None):
        inputs = complete_inputs(inputs, self.backbone.image_size)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
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
                counting the same.
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
        super().compile(
            optimizer=optimizer,
            loss=loss,
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
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            # So that its saved state has a place to go.
            self.optimizer.build(self.trainable_variables)
