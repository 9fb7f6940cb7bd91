import keras
import numpy as np
import pytest
from keras import ops

from keras_paligemma.data.synthetic.mask_crops import draw_crops
from keras_paligemma.tasks.mask_vqvae import MaskVQVAE
from keras_paligemma.tasks.mask_vqvae import VectorQuantizer
from keras_paligemma.tasks.mask_vqvae import mask_loss

SMALL = {"encoder_dims": (4, 8, 8, 8), "decoder_dim": 16, "codeword_dim": 4}


@pytest.fixture(scope="module")
def crops():
    return draw_crops(np.random.default_rng(0), 64, ("ellipse", "rectangle"))


def test_it_learns(crops):
    codec = MaskVQVAE(**SMALL, seed=0)
    codec.compile(keras.optimizers.Adam(3e-3), loss=mask_loss)
    losses = codec.fit(
        crops, crops, batch_size=32, epochs=15, verbose=0
    ).history["loss"]
    assert losses[-1] < 0.75 * losses[0]
    # Without revival, a few codewords take all.
    codes = codec.encode(crops)
    assert len(np.unique(codes)) >= 24
    there, back = crops > 0.5, codec.decode(codes) > 0.5
    overlap = (there & back).sum() / (there | back).sum()
    assert overlap > 0.6


def test_the_decoder_has_gradients_and_the_encoder_too(crops):
    codec = MaskVQVAE(**SMALL, seed=0)
    codec.compile(keras.optimizers.SGD(0.1), loss=mask_loss)
    before = [ops.convert_to_numpy(v) for v in codec.trainable_variables]
    codec.train_on_batch(crops[:8], crops[:8])
    for variable, old in zip(codec.trainable_variables, before, strict=True):
        assert np.abs(ops.convert_to_numpy(variable) - old).max() > 0, (
            variable.path
        )


def test_codewords_follow_the_vectors():
    """Moving averages of counts and sums; van den Oord et al., A.1."""
    quantizer = VectorQuantizer(3, 2, decay=0.9, revive_below=0.05)
    quantizer.build((None, 2))
    table = np.array([[0, 0], [10, 0], [0, 10]], "float32")
    quantizer.embeddings.assign(table)
    quantizer.counts.assign([2.0, 2.0, 2.0])
    quantizer.sums.assign(2 * table)
    vectors = np.array([[1, 1], [2, 0], [9, 1], [0, 8]], "float32")
    result = ops.convert_to_numpy(quantizer(vectors, training=True))
    np.testing.assert_allclose(result, table[[0, 0, 1, 2]], atol=1e-6)
    counts = 0.9 * 2 + 0.1 * np.array([2, 1, 1])
    sums = 0.9 * 2 * table + 0.1 * np.array([[3, 1], [9, 1], [0, 8]])
    np.testing.assert_allclose(
        ops.convert_to_numpy(quantizer.embeddings),
        sums / counts[:, None],
        atol=1e-5,
    )
    distance = np.mean((vectors - table[[0, 0, 1, 2]]) ** 2)
    (loss,) = quantizer.losses
    np.testing.assert_allclose(float(loss), 0.25 * distance, rtol=1e-5)


def test_dead_codewords_become_vectors_of_the_batch():
    quantizer = VectorQuantizer(4, 2, seed=0)
    quantizer.build((None, 2))
    table = np.array([[0, 0], [50, 0], [0, 50], [50, 50]], "float32")
    quantizer.embeddings.assign(table)
    quantizer.counts.assign([8.0, 8.0, 0.01, 0.01])
    quantizer.sums.assign(table * np.array([[8], [8], [0.01], [0.01]]))
    vectors = np.array([[1, 0], [2, 0], [49, 0], [48, 0]] * 4, "float32")
    quantizer(vectors, training=True)
    found = ops.convert_to_numpy(quantizer.embeddings)
    rows = {tuple(row) for row in vectors.tolist()}
    assert {tuple(row) for row in np.round(found[2:], 4).tolist()} <= rows
    assert not {tuple(row) for row in np.round(found[:2], 4).tolist()} & rows
    # The revived have their share, and do not die at once.
    np.testing.assert_allclose(
        ops.convert_to_numpy(quantizer.counts)[2:], [4.0, 4.0]
    )


def test_nothing_moves_outside_training(crops):
    codec = MaskVQVAE(**SMALL, seed=0)
    before = [ops.convert_to_numpy(v) for v in codec.variables]
    one = codec.decode(codec.encode(crops[:3]))
    logits = ops.convert_to_numpy(codec(crops[:3]))
    np.testing.assert_allclose(
        one, np.clip(0.5 + 0.5 * logits, 0, 1), atol=1e-5
    )
    for variable, old in zip(codec.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), old)


def test_a_batch_is_as_its_masks_alone(crops):
    codec = MaskVQVAE(**SMALL, seed=0)
    many = np.concatenate([crops, crops[:3]])
    codes = codec.encode(many)
    assert codes.shape == (67, 16)
    assert (codes[:3] == codes[-3:]).all()
    assert (codec.encode(many[65:66]) == codes[65:66]).all()
    np.testing.assert_allclose(
        codec.decode(codes[5:6])[0], codec.decode(codes)[5], atol=1e-5
    )
    assert codec.encode(many[:0]).shape == (0, 16)
    assert codec.decode(codes[:0]).shape == (0, 64, 64)


def test_the_loss_by_its_formula():
    rng = np.random.default_rng(0)
    crops = (rng.random((2, 64, 64)) > 0.5).astype("float32")
    logits = rng.normal(size=crops.shape).astype("float32")
    chances = 1 / (1 + np.exp(-logits))
    entropy = -np.mean(
        crops * np.log(chances) + (1 - crops) * np.log(1 - chances), (1, 2)
    )
    both = (crops * chances).sum((1, 2))
    dice = (2 * both + 1) / ((crops + chances).sum((1, 2)) + 1)
    tensors = map(ops.convert_to_tensor, (crops, logits))
    loss = ops.convert_to_numpy(mask_loss(*tensors))
    np.testing.assert_allclose(loss, entropy + 1 - dice, rtol=1e-5)


def test_saved_and_loaded_by_keras(crops, tmp_path):
    codec = MaskVQVAE(**SMALL, seed=0)
    codec.save(tmp_path / "codec.keras")
    again = keras.saving.load_model(tmp_path / "codec.keras")
    assert (again.encode(crops) == codec.encode(crops)).all()
    assert again.get_config() == codec.get_config()


def test_float32_under_any_policy(crops):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        codec = MaskVQVAE(**SMALL, seed=0)
        logits = codec(crops[:1])
    finally:
        keras.config.set_dtype_policy(policy)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda codec: codec.encode(np.zeros((64, 64))), r"shape=\(64, 64\)"),
        (lambda codec: codec.encode(np.zeros((1, 32, 32))), "crop_mask"),
        (lambda codec: codec.decode(np.zeros(16)), r"shape=\(16,\)"),
        (lambda codec: codec.decode(np.full((1, 16), 128)), "0..127.*128"),
        (lambda codec: codec.decode(np.full((1, 16), -1)), "-1"),
        (lambda _: MaskVQVAE(encoder_dims=(4, 8)), "four"),
        (lambda _: MaskVQVAE(decoder_dim=12), "multiple of 8"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(MaskVQVAE(**SMALL))
