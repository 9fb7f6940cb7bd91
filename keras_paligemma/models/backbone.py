"""PaliGemma without its task: images and tokens in, text states out."""

import keras
import keras_hub
from keras import ops

from keras_paligemma.layers.decoder import Decoder
from keras_paligemma.layers.dense import TransposedDense
from keras_paligemma.layers.token_embedding import TokenEmbedding
from keras_paligemma.models.image_encoder import ImageEncoder
from keras_paligemma.models.inputs import complete_inputs
from keras_paligemma.models.layouts import BackboneLayouts
from keras_paligemma.models.low_rank import LowRankAdaptation
from keras_paligemma.models.presets import BackbonePresets

# What each component is called in paths, schedules and checkpoints.
COMPONENTS = ("image_encoder", "projector", "embedding", "decoder")


@keras.saving.register_keras_serializable(package="keras_paligemma")
class PaliGemmaBackbone(
    BackboneLayouts,
    BackbonePresets,
    LowRankAdaptation,
    keras_hub.models.Backbone,
):
    """PaliGemma and PaliGemma 2 core network (arXiv 2407.07726, 2412.03555).

    A SigLIP image encoder, a linear projector and a Gemma decoder. The
    tokens are `[image tokens ..., BOS, prefix ..., SEP, suffix ..., EOS,
    PAD ...]`: image, BOS, prefix and SEP see each other fully, suffix and
    EOS are causal, nothing sees padding. The result is the decoder's hidden
    state at each text position; `PaliGemmaCausalLM` turns it into logits.

    The arguments are those of `keras_hub.models.PaliGemmaBackbone`, and its
    four parts are `image_encoder`, `projector`, `embedding` and `decoder`,
    in variable paths too.

    Args:
        vocabulary_size: int. Number of tokens.
        image_size: int. Pixels on a side of the square image.
        num_layers: int. Number of decoder blocks.
        num_query_heads: int. Query heads of the decoder.
        num_key_value_heads: int. Key and value heads of the decoder.
        hidden_dim: int. Width of the decoder.
        intermediate_dim: int. Width of the decoder's gate and up projection
            together, as in Keras-Hub: twice the feed-forward's width.
        head_dim: int. Size of a decoder head.
        vit_patch_size: int. Pixels on a side of a patch.
        vit_num_heads: int. Heads of the image encoder.
        vit_hidden_dim: int. Width of the image encoder.
        vit_num_layers: int. Blocks of the image encoder.
        vit_intermediate_dim: int. Width of the image encoder's feed-forward.
        query_head_dim_normalize: bool. Scale queries by `head_dim ** -0.5`
            (`True`) or `(hidden_dim / num_query_heads) ** -0.5` (Gemma 2
            27B).
        use_post_ffw_norm: bool. Normalise after the feed-forward (Gemma 2).
        use_post_attention_norm: bool. Normalise after attention (Gemma 2).
        attention_logit_soft_cap: float or `None`. Gemma 2: 50.
        final_logit_soft_cap: float or `None`. Gemma 2: 30.
        use_sliding_window_attention: bool. Whether every other block sees a
            window only. Off for PaliGemma 2 too, as in big_vision.
        sliding_window_size: int. The window's size.
        layer_norm_epsilon: float. Of every norm.
        dropout: float. Share dropped after the decoder's attention and
            feed-forward in training.
        remat: bool. Whether training recomputes each block's activations
            (of image encoder and decoder) instead of keeping them.
        dtype: string or `keras.DTypePolicy`. Of weights and computation;
            norms, softmax and logits are float32 whatever it is.

    Call arguments:
        inputs: dict of `images` `[batch, height, width, 3]` or
            `[batch, images, height, width, 3]` in -1..1, and int tensors
            `token_ids`, `padding_mask`, `response_mask`
            `[batch, length]`; optionally `image_mask` `[batch, images]`,
            0 for an image that only fills up the batch.

    Returns:
        Tensor `[batch, length, hidden_dim]`.

    Example:
    ```python
    backbone = PaliGemmaBackbone(
        vocabulary_size=300,
        image_size=28,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=1,
        hidden_dim=32,
        intermediate_dim=64,
        head_dim=8,
        vit_patch_size=14,
        vit_num_heads=2,
        vit_hidden_dim=16,
        vit_num_layers=2,
        vit_intermediate_dim=32,
    )
    backbone(
        {
            "images": np.zeros((1, 28, 28, 3)),
            "token_ids": np.ones((1, 6), "int32"),
            "padding_mask": np.ones((1, 6), "int32"),
            "response_mask": np.array([[0, 0, 0, 0, 1, 1]]),
        }
    ).shape  # (1, 6, 32)
    ```
    """

    def __init__(
        self,
        vocabulary_size,
        image_size,
        num_layers,
        num_query_heads,
        num_key_value_heads,
        hidden_dim,
        intermediate_dim,
        head_dim,
        vit_patch_size,
        vit_num_heads,
        vit_hidden_dim,
        vit_num_layers,
        vit_intermediate_dim=4304,
        query_head_dim_normalize=True,
        use_post_ffw_norm=False,
        use_post_attention_norm=False,
        attention_logit_soft_cap=None,
        final_logit_soft_cap=None,
        use_sliding_window_attention=False,
        sliding_window_size=4096,
        layer_norm_epsilon=1e-6,
        dropout=0,
        remat=False,
        dtype=None,
        **kwargs,
    ):
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                "`num_query_heads` must be a multiple of "
                "`num_key_value_heads`, which they share. "
                f"Received: num_query_heads={num_query_heads}, "
                f"num_key_value_heads={num_key_value_heads}"
            )
        if intermediate_dim % 2:
            raise ValueError(
                "`intermediate_dim` counts gate and up projection together, "
                "so it must be even. "
                f"Received: intermediate_dim={intermediate_dim}"
            )

        # === Layers ===
        query_dim = (
            head_dim
            if query_head_dim_normalize
            else hidden_dim / num_query_heads
        )
        self.image_encoder = ImageEncoder(
            image_size=image_size,
            patch_size=vit_patch_size,
            hidden_dim=vit_hidden_dim,
            num_layers=vit_num_layers,
            num_heads=vit_num_heads,
            intermediate_dim=vit_intermediate_dim,
            layer_norm_epsilon=layer_norm_epsilon,
            remat=remat,
            dtype=dtype,
            name="image_encoder",
        )
        self.projector = TransposedDense(
            hidden_dim, use_bias=True, dtype=dtype, name="projector"
        )
        self.token_embedding = TokenEmbedding(
            vocabulary_size,
            hidden_dim,
            logit_soft_cap=final_logit_soft_cap,
            dtype=dtype,
            name="embedding",
        )
        self.decoder = Decoder(
            num_layers=num_layers,
            block={
                "attention": {
                    "num_query_heads": num_query_heads,
                    "num_key_value_heads": num_key_value_heads,
                    "head_dim": head_dim,
                    "query_scale": query_dim**-0.5,
                    "soft_cap": attention_logit_soft_cap,
                },
                "intermediate_dim": intermediate_dim // 2,
                "use_post_attention_norm": use_post_attention_norm,
                "use_post_ffw_norm": use_post_ffw_norm,
                "layer_norm_epsilon": layer_norm_epsilon,
                "dropout": dropout,
            },
            sliding_window=(
                sliding_window_size if use_sliding_window_attention else None
            ),
            remat=remat,
            dtype=dtype,
            name="decoder",
        )

        # === Functional Model ===
        def int_input(name):
            return keras.Input(shape=(None,), dtype="int32", name=name)

        inputs = {
            "images": keras.Input(
                shape=(None, image_size, image_size, 3), name="images"
            ),
            "image_mask": int_input("image_mask"),
            "token_ids": int_input("token_ids"),
            "padding_mask": int_input("padding_mask"),
            "response_mask": int_input("response_mask"),
        }
        hidden = self.decoder(
            self.projector(self.image_encoder(inputs["images"])),
            self.token_embedding(inputs["token_ids"]),
            image_mask=ops.repeat(
                inputs["image_mask"], self.image_encoder.num_patches, axis=1
            ),
            padding_mask=inputs["padding_mask"],
            response_mask=inputs["response_mask"],
        )
        super().__init__(inputs=inputs, outputs=hidden, dtype=dtype, **kwargs)
        # `call` checks and completes the inputs itself.
        self.input_spec = None

        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.image_size = image_size
        self.num_layers = num_layers
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.head_dim = head_dim
        self.vit_patch_size = vit_patch_size
        self.vit_num_heads = vit_num_heads
        self.vit_hidden_dim = vit_hidden_dim
        self.vit_num_layers = vit_num_layers
        self.vit_intermediate_dim = vit_intermediate_dim
        self.query_head_dim_normalize = query_head_dim_normalize
        self.use_post_ffw_norm = use_post_ffw_norm
        self.use_post_attention_norm = use_post_attention_norm
        self.attention_logit_soft_cap = attention_logit_soft_cap
        self.final_logit_soft_cap = final_logit_soft_cap
        self.use_sliding_window_attention = use_sliding_window_attention
        self.sliding_window_size = sliding_window_size
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout = dropout
        self.remat = remat
        # The number of tokens that one image becomes.
        self.image_sequence_length = self.image_encoder.num_patches

    def call(self, inputs, training=None, mask=None, **kwargs):
        inputs = complete_inputs(inputs, self.image_size)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def compute_output_spec(self, inputs, training=None, mask=None):
        inputs = complete_inputs(inputs, self.image_size)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "vocabulary_size": self.vocabulary_size,
                "image_size": self.image_size,
                "num_layers": self.num_layers,
                "num_query_heads": self.num_query_heads,
                "num_key_value_heads": self.num_key_value_heads,
                "hidden_dim": self.hidden_dim,
                "intermediate_dim": self.intermediate_dim,
                "head_dim": self.head_dim,
                "vit_patch_size": self.vit_patch_size,
                "vit_num_heads": self.vit_num_heads,
                "vit_hidden_dim": self.vit_hidden_dim,
                "vit_num_layers": self.vit_num_layers,
                "vit_intermediate_dim": self.vit_intermediate_dim,
                "query_head_dim_normalize": self.query_head_dim_normalize,
                "use_post_ffw_norm": self.use_post_ffw_norm,
                "use_post_attention_norm": self.use_post_attention_norm,
                "attention_logit_soft_cap": self.attention_logit_soft_cap,
                "final_logit_soft_cap": self.final_logit_soft_cap,
                "use_sliding_window_attention": (
                    self.use_sliding_window_attention
                ),
                "sliding_window_size": self.sliding_window_size,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "dropout": self.dropout,
                "remat": self.remat,
            }
        )
        return config
