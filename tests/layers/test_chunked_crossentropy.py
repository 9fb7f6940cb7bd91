"""The chunked loss and its gradients equal the plain formula's."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers.chunked_crossentropy import chunk_size
from keras_paligemma.layers.chunked_crossentropy import chunked_token_losses
from keras_paligemma.layers.linear import vocabulary_logits
from keras_paligemma.layers.response_crossentropy import token_losses

BATCH, LENGTH, WIDTH, VOCABULARY = 3, 5, 8, 23


class Scores(keras.layers.Layer):
    """Holds hidden states and embeddings as weights: both get gradients."""

    def __init__(self, chunked, mask, smoothing, soft_cap, chunk=4, **kwargs):
        super().__init__(**kwargs)
        generator = np.random.default_rng(0)
        self.chunked, self.mask, self.chunk = chunked, mask, chunk
        self.smoothing, self.soft_cap = smoothing, soft_cap
        self.hidden = self.add_weight(shape=(BATCH, LENGTH, WIDTH))
        self.embeddings = self.add_weight(shape=(VOCABULARY, WIDTH))
        for weight in (self.hidden, self.embeddings):
            weight.assign(generator.normal(0, 2, weight.shape))

    def call(self, token_ids):
        hidden = ops.cast(self.hidden, self.compute_dtype)
        embeddings = ops.cast(self.embeddings, self.compute_dtype)
        if self.chunked:
            return chunked_token_losses(
                hidden,
                embeddings,
                token_ids,
                self.mask,
                self.smoothing,
                self.soft_cap,
                self.chunk,
            )
        logits = vocabulary_logits(hidden, embeddings, self.soft_cap)
        mask = ops.cast(self.mask, "float32")
        likeliest = ops.cast(ops.argmax(logits, axis=-1), "int32")
        right = ops.cast(ops.equal(likeliest, token_ids), "float32")
        losses = token_losses(token_ids, logits, self.smoothing)
        return ops.stack([losses * mask, right * mask], axis=-1)


def results(chunked, mask, smoothing, soft_cap, dtype, jit_compile, chunk=4):
    """Token results, and hidden states and embeddings after an SGD step."""
    token_ids = np.arange(BATCH * LENGTH).reshape(BATCH, LENGTH).astype("int32")
    layer = Scores(chunked, mask, smoothing, soft_cap, chunk, dtype=dtype)
    inputs = keras.Input(batch_shape=token_ids.shape, dtype="int32")
    model = keras.Model(inputs, layer(inputs))
    weights = np.linspace(0.5, 2, BATCH * LENGTH).reshape(BATCH, LENGTH)

    def loss(y_true, y_pred):
        weighted = y_pred[..., 0] * ops.convert_to_tensor(weights, "float32")
        return ops.sum(weighted) * ops.ones((BATCH,))

    model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=jit_compile)
    outputs = ops.convert_to_numpy(model(token_ids))
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    model.train_on_batch(token_ids, token_ids)
    after = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    return outputs, *(a - b for a, b in zip(after, before, strict=True))


def some_mask():
    mask = np.zeros((BATCH, LENGTH), "bool")
    mask[0, 2:], mask[2, 1:4] = True, True
    return mask


MASKS = {
    "some": some_mask(),
    "all": np.ones((BATCH, LENGTH), "bool"),
    "none": np.zeros((BATCH, LENGTH), "bool"),
}


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "mask, smoothing, soft_cap, chunk",
    [
        ("some", 0.0, None, 4),
        ("some", 0.2, 3.0, 4),
        ("all", 0.1, None, 100),
        ("none", 0.0, None, 4),
    ],
)
def test_equals_the_plain_formula(
    mask, smoothing, soft_cap, chunk, jit_compile
):
    if jit_compile and keras.config.backend() == "torch":
        jit_compile = False
    options = (MASKS[mask], smoothing, soft_cap, "float32", jit_compile)
    expected = results(False, *options)
    for ours, theirs in zip(
        results(True, *options, chunk), expected, strict=True
    ):
        scale = max(np.abs(theirs).max(), 1e-3)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


def test_mixed_precision():
    options = (some_mask(), 0.1, None, "mixed_bfloat16", False)
    ours, theirs = results(True, *options), results(False, *options)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        # One rounding of bfloat16 has eight bits.
        np.testing.assert_allclose(a, b, atol=2**-6 * np.abs(b).max())


def test_tokens_outside_the_loss_are_zero_and_unscored():
    outputs, to_hidden, _ = results(
        True, some_mask(), 0.0, None, "float32", False
    )
    outside = ~some_mask()
    assert not outputs[outside].any() and not to_hidden[outside].any()
    assert (outputs[some_mask()][:, 0] > 0).all()


def test_a_chunk_is_as_many_logits_whatever_the_vocabulary():
    assert chunk_size(257_152) == 64
    assert chunk_size(2 * 257_152) == 32
    assert chunk_size(2_560) == 512
    assert chunk_size(10**9) == 1
