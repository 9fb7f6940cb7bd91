"""The decoder: its block, where dropout stands, and the last-states path."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.layers import Decoder
from keras_paligemma.layers.decoder_block import DecoderBlock
from keras_paligemma.layers.masks import prefix_lm_mask
from keras_paligemma.layers.masks import token_positions
from keras_paligemma.layers.rotary import rotary_tables

ATTENTION = {
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "query_scale": 0.5,
}
LENGTH = 6
DIM = 16


def block_options(**changes):
    return {
        "attention": ATTENTION,
        "intermediate_dim": 24,
        "layer_norm_epsilon": 1e-6,
        **changes,
    }


def randomise(layer):
    generator = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(generator.normal(0, 0.4, variable.shape))


def random_block(**changes):
    block = DecoderBlock(**block_options(**changes))
    block.build((None, None, DIM))
    randomise(block)
    return block


def inputs_and_mask():
    x = np.random.default_rng(1).normal(size=(2, LENGTH, DIM))
    valid = np.ones((2, LENGTH), "int32")
    valid[1, 1] = 0
    causal = np.array([[0, 0, 0, 1, 1, 1]] * 2)
    return (
        ops.convert_to_tensor(x, "float32"),
        prefix_lm_mask(valid, causal),
        token_positions(valid),
    )


def run_block(block, training=False):
    x, mask, positions = inputs_and_mask()
    outputs, _ = block(
        x,
        attention_mask=mask,
        tables=rotary_tables(positions, ATTENTION["head_dim"]),
        seeds=block.draw_seeds(training),
    )
    return ops.convert_to_numpy(x), ops.convert_to_numpy(outputs)


def silence(dense):
    dense.kernel.assign(np.zeros(dense.kernel.shape))


def test_silent_halves_leave_the_residual_alone():
    block = random_block()
    silence(block.attention.output_dense)
    silence(block.feedforward.down_dense)
    x, outputs = run_block(block)
    np.testing.assert_array_equal(outputs, x)


@pytest.mark.parametrize("post_norms", [False, True])
@pytest.mark.parametrize("silent", ["attention", "feedforward"])
def test_dropout_stands_behind_both_halves(silent, post_norms):
    # Keras-Hub forgot the one behind the feed-forward.
    block = random_block(
        dropout=0.5,
        use_post_attention_norm=post_norms,
        use_post_ffw_norm=post_norms,
    )
    if silent == "attention":
        silence(block.attention.output_dense)
    else:
        silence(block.feedforward.down_dense)
    _, calm = run_block(block)
    _, again = run_block(block)
    _, trained = run_block(block, training=True)
    np.testing.assert_array_equal(calm, again)
    assert np.abs(trained - calm).max() > 0.01


def test_post_norms_make_the_halves_unit_sized():
    block = random_block(use_post_attention_norm=True)
    silence(block.feedforward.down_dense)
    block.post_attention_norm.scale.assign(np.zeros(DIM))
    x, outputs = run_block(block)
    sizes = np.sqrt(((outputs - x) ** 2).mean(axis=-1))
    np.testing.assert_allclose(sizes, 1.0, rtol=1e-4)


@pytest.mark.parametrize("sliding_window", [None, 3])
def test_last_states_alone_equal_the_full_run(sliding_window):
    decoder = Decoder(
        2, block_options(), sliding_window=sliding_window, name="decoder"
    )
    decoder.build((None, None, DIM), (None, None, DIM))
    randomise(decoder)
    arguments = inputs_and_mask()
    whole, none = decoder.run(*arguments)
    assert none is None
    for count in (1, 4):
        last, _ = decoder.run(*arguments, num_queries=count)
        np.testing.assert_allclose(
            ops.convert_to_numpy(last),
            ops.convert_to_numpy(whole)[:, -count:],
            atol=1e-5,
        )


def test_the_first_block_has_the_window_and_the_second_none():
    def states(silent, window):
        decoder = Decoder(2, block_options(), sliding_window=window)
        decoder.build((None, None, DIM), (None, None, DIM))
        randomise(decoder)
        silence(decoder.blocks[silent].attention.output_dense)
        return ops.convert_to_numpy(decoder.run(*inputs_and_mask())[0])

    np.testing.assert_array_equal(states(0, window=2), states(0, window=None))
    assert np.abs(states(1, window=2) - states(1, window=None)).max() > 0.01


def test_image_embeddings_are_not_scaled_and_text_is():
    decoder = Decoder(1, block_options())
    decoder.build((None, None, DIM), (None, None, DIM))
    ones = ops.ones((1, 2, DIM))
    flags = np.ones((1, 2), "int32")
    x, valid, causal = decoder.sequence(ones, ones, flags, flags, flags)
    x = ops.convert_to_numpy(x)
    np.testing.assert_allclose(x[:, :2], 1.0)
    np.testing.assert_allclose(x[:, 2:], DIM**0.5)
    np.testing.assert_array_equal(ops.convert_to_numpy(causal), [[0, 0, 1, 1]])


def test_config_round_trip():
    decoder = Decoder(2, block_options(dropout=0.1), 7, remat=True)
    config = keras.saving.serialize_keras_object(decoder)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == decoder.get_config()
    block = random_block(use_post_ffw_norm=True)
    config = keras.saving.serialize_keras_object(block)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == block.get_config()
