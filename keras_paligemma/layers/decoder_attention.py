"""Self-attention of the Gemma decoder, with or without a cache."""

import keras
from keras import ops

from keras_paligemma.layers.attention import attend
from keras_paligemma.layers.dense import TransposedDense
from keras_paligemma.layers.direct import direct_call
from keras_paligemma.layers.rotary import rotate


@keras.saving.register_keras_serializable(package="keras_paligemma")
class DecoderAttention(keras.layers.Layer):
    """Grouped-query attention with rotary positions.

    Args:
        num_query_heads: int. Number of query heads.
        num_key_value_heads: int. Number of key and value heads; divides
            `num_query_heads`.
        head_dim: int. Size of a head.
        query_scale: float. Multiplies the queries.
        soft_cap: float or `None`. Caps the attention logits (Gemma 2).
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        num_query_heads,
        num_key_value_heads,
        head_dim,
        query_scale,
        soft_cap=None,
        **kwargs,
    ):
        # The tables of rotary positions must stay float32.
        super().__init__(autocast=False, **kwargs)
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_dim = head_dim
        self.query_scale = query_scale
        self.soft_cap = soft_cap

    def build(self, input_shape):
        hidden_dim = input_shape[-1]

        def dense(name, units, input_dim):
            layer = TransposedDense(units, dtype=self.dtype_policy, name=name)
            layer.build((None, None, input_dim))
            return layer

        query_dim = self.num_query_heads * self.head_dim
        key_dim = self.num_key_value_heads * self.head_dim
        self.query_dense = dense("query_dense", query_dim, hidden_dim)
        self.key_dense = dense("key_dense", key_dim, hidden_dim)
        self.value_dense = dense("value_dense", key_dim, hidden_dim)
        self.output_dense = dense("output_dense", hidden_dim, query_dim)
        self.built = True

    def call(
        self,
        inputs,
        attention_mask,
        tables,
        cache=None,
        cache_index=0,
        num_queries=None,
    ):
        """Attends from `inputs` to `inputs`, or to what the cache holds.

        Args:
            inputs: float tensor `[batch, length, hidden_dim]`.
            attention_mask: bool tensor `[batch, queries, keys]`.
            tables: cosines and sines of the positions of `inputs`.
            cache: `None`, or a key and a value tensor
                `[batch, keys, num_key_value_heads, head_dim]` which take the
                new keys and values at `cache_index`.
            cache_index: int or int tensor. Where the cache is written.
            num_queries: int or `None`. If given, only the last so many
                positions ask.

        Returns:
            Tensor `[batch, queries, hidden_dim]`, and the new cache.
        """
        asking, asking_tables = inputs, tables
        if num_queries is not None:
            asking = inputs[:, -num_queries:]
            asking_tables = tuple(t[:, -num_queries:] for t in tables)
        query = self._heads(
            direct_call(self.query_dense, asking), self.num_query_heads
        )
        key = self._heads(
            direct_call(self.key_dense, inputs), self.num_key_value_heads
        )
        value = self._heads(
            direct_call(self.value_dense, inputs), self.num_key_value_heads
        )
        query, key = rotate(query, asking_tables), rotate(key, tables)
        if cache is not None:
            start = (0, cache_index, 0, 0)
            key = ops.slice_update(cache[0], start, key)
            value = ops.slice_update(cache[1], start, value)
            cache = (key, value)
        mixed = attend(
            query, key, value, attention_mask, self.query_scale, self.soft_cap
        )
        return direct_call(self.output_dense, mixed), cache

    def _heads(self, x, num_heads):
        return ops.reshape(x, (-1, ops.shape(x)[1], num_heads, self.head_dim))

    def get_config(self):
        return {
            **super().get_config(),
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "query_scale": self.query_scale,
            "soft_cap": self.soft_cap,
        }
