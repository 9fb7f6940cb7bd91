"""The Gemma decoder: image tokens and text tokens in, text states out."""

import functools

import keras
from keras import ops

from keras_paligemma.layers.decoder_block import DecoderBlock
from keras_paligemma.layers.direct import direct_call
from keras_paligemma.layers.masks import prefix_lm_mask
from keras_paligemma.layers.masks import token_positions
from keras_paligemma.layers.masks import within_window
from keras_paligemma.layers.rms_normalization import RMSNormalization
from keras_paligemma.layers.rotary import rotary_tables


@keras.saving.register_keras_serializable(package="keras_paligemma")
class Decoder(keras.layers.Layer):
    """A stack of `DecoderBlock`s over `[image tokens ..., text tokens ...]`.

    Args:
        num_layers: int. Number of blocks.
        block: dict. Arguments of `DecoderBlock`.
        sliding_window: int or `None`. If given, every other block (the
            first, the third, ...) sees keys less than so many positions
            away, as Gemma 2 does. big_vision's PaliGemma 2 has none.
        remat: bool. Whether training recomputes each block's activations in
            the backward pass instead of keeping them.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(
        self, num_layers, block, sliding_window=None, remat=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.block_config = dict(block)
        self.sliding_window = sliding_window
        self.remat = remat

    def build(self, image_embeddings_shape, text_embeddings_shape):
        hidden_shape = (None, None, text_embeddings_shape[-1])
        self.blocks = []
        for i in range(self.num_layers):
            block = DecoderBlock(
                **self.block_config, dtype=self.dtype_policy, name=f"block_{i}"
            )
            block.build(hidden_shape)
            self.blocks.append(block)
        self.final_norm = RMSNormalization(
            epsilon=self.block_config["layer_norm_epsilon"],
            dtype=self.dtype_policy,
            name="final_norm",
        )
        self.final_norm.build(hidden_shape)
        self.built = True

    def call(
        self,
        image_embeddings,
        text_embeddings,
        image_mask=None,
        padding_mask=None,
        response_mask=None,
        training=None,
    ):
        """Hidden states of the text positions.

        Args:
            image_embeddings: float tensor
                `[batch, image_length, hidden_dim]`, used as they are.
            text_embeddings: float tensor `[batch, text_length, hidden_dim]`,
                scaled here by `sqrt(hidden_dim)`.
            image_mask: int tensor `[batch, image_length]`. 0 for the tokens
                of an image that only fills up the batch.
            padding_mask: int tensor `[batch, text_length]`. 0 for padding.
            response_mask: int tensor `[batch, text_length]`. 1 for suffix
                and EOS, which are causal.
            training: bool. Whether dropout is on.

        Returns:
            Tensor `[batch, text_length, hidden_dim]`, normalised.
        """
        x, valid, causal = self.sequence(
            image_embeddings,
            text_embeddings,
            image_mask,
            padding_mask,
            response_mask,
        )
        hidden, _ = self.run(
            x,
            prefix_lm_mask(valid, causal),
            token_positions(valid),
            num_queries=ops.shape(text_embeddings)[1],
            training=training,
        )
        return hidden

    def sequence(
        self,
        image_embeddings,
        text_embeddings,
        image_mask,
        padding_mask,
        response_mask,
    ):
        """Joins image and text: embeddings, valid and causal flags."""
        image_embeddings = ops.cast(image_embeddings, self.compute_dtype)
        x = ops.concatenate(
            [image_embeddings, self.scaled(text_embeddings)], axis=1
        )
        image_mask, padding_mask, response_mask = (
            ops.cast(m, "int32")
            for m in (image_mask, padding_mask, response_mask)
        )
        valid = ops.concatenate([image_mask, padding_mask], axis=1)
        causal = ops.concatenate(
            [ops.zeros_like(image_mask), response_mask], axis=1
        )
        return x, valid, causal

    def scaled(self, text_embeddings):
        """Text embeddings times `sqrt(hidden_dim)`, in the compute dtype."""
        x = ops.cast(text_embeddings, self.compute_dtype)
        return x * ops.cast(x.shape[-1] ** 0.5, self.compute_dtype)

    def run(
        self,
        x,
        mask,
        positions,
        cache=None,
        cache_index=0,
        key_positions=None,
        num_queries=None,
        training=None,
    ):
        """Runs all blocks and the final norm.

        Args:
            x: float tensor `[batch, length, hidden_dim]`.
            mask: bool tensor `[batch, length, keys]`.
            positions: int tensor `[batch, length]` of `x`.
            cache: `None`, or for each block a key and a value tensor.
            cache_index: int or int tensor. Where `x` stands in the cache.
            key_positions: int tensor `[batch, keys]`; by default those of
                `x`. Only a sliding window reads it.
            num_queries: int or `None`. If given, the last block and all
                behind it compute only so many last positions.
            training: bool. Whether dropout is on.

        Returns:
            Tensor `[batch, queries, hidden_dim]`, and the new cache.
        """
        head_dim = self.block_config["attention"]["head_dim"]
        tables = rotary_tables(positions, head_dim)
        masks = [mask, mask]
        if self.sliding_window is not None:
            if key_positions is None:
                key_positions = positions
            masks[0] = within_window(
                mask, positions, key_positions, self.sliding_window
            )
        new_cache = None if cache is None else []
        for i, block in enumerate(self.blocks):
            block_mask, queries = masks[i % 2], None
            if i == self.num_layers - 1 and num_queries is not None:
                queries = num_queries
                block_mask = block_mask[:, -queries:]
            run = functools.partial(
                direct_call,
                block,
                attention_mask=block_mask,
                tables=tables,
                num_queries=queries,
                seeds=block.draw_seeds(training),
            )
            if cache is None:
                x = self._without_cache(run, training)(x)
            else:
                x, block_cache = run(x, cache=cache[i], cache_index=cache_index)
                new_cache.append(block_cache)
        return direct_call(self.final_norm, x), new_cache

    def _without_cache(self, run, training):
        def hidden(x):
            return run(x)[0]

        # Only `x` is an argument: gradients flow through nothing else.
        return keras.remat(hidden) if self.remat and training else hidden

    def compute_output_spec(
        self, image_embeddings, text_embeddings, *args, **kwargs
    ):
        return keras.KerasTensor(
            text_embeddings.shape, dtype=self.compute_dtype
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "block": self.block_config,
            "sliding_window": self.sliding_window,
            "remat": self.remat,
        }
