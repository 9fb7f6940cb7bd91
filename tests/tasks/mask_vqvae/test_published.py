import numpy as np
import pytest

from keras_paligemma.tasks.mask_vqvae import load_mask_codec
from keras_paligemma.tasks.mask_vqvae import save_mask_codec
from tests.tasks.mask_vqvae import numpy_codec


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    arrays = numpy_codec.random_arrays(rng)
    # Where the features are, so that many codewords are chosen.
    features, _ = numpy_codec.encode(arrays, rng.random((64, 64)) > 0.5)
    center, scale = features.mean((0, 1)), features.std((0, 1))
    codebook = center + scale * rng.normal(size=(128, 9))
    return {**arrays, numpy_codec.CODEBOOK: codebook.astype("float32")}


@pytest.fixture(scope="module")
def path(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("codec") / "vae-oid.npz"
    # What PyTorch keeps beside them for training, and is of no use here.
    np.savez(path, **arrays, **{"_vq_vae._ema_w": np.zeros((128, 9))})
    return path


@pytest.fixture(scope="module")
def codec(path):
    return load_mask_codec(path)


def disc(row, column, radius):
    rows, columns = np.mgrid[:64, :64]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def test_encoding_as_numpy_reads_the_layers(codec, arrays):
    masks = np.array([disc(20, 40, 15), disc(60, 3, 30)], "float32")
    features = codec.encoder.predict_on_batch(2 * masks[..., None] - 1)
    codes = codec.encode(masks)
    assert codes.shape == (2, 16) and codes.dtype == np.int32
    for row, mask in enumerate(masks):
        expected, expected_codes = numpy_codec.encode(arrays, mask)
        np.testing.assert_allclose(features[row], expected, atol=1e-4)
        assert codes[row].tolist() == expected_codes.tolist()
    assert len(np.unique(codes)) > 8


def test_decoding_as_numpy_reads_the_layers(codec, arrays):
    codes = np.random.default_rng(1).integers(0, 128, (3, 16))
    crops = codec.decode(codes)
    assert crops.shape == (3, 64, 64)
    for row in range(3):
        outputs = numpy_codec.decode(arrays, codes[row])
        assert outputs.min() < 0 < outputs.max()
        expected = np.clip(0.5 + 0.5 * outputs, 0, 1)
        np.testing.assert_allclose(crops[row], expected, atol=1e-4)


def test_the_published_widths_are_read_off(tmp_path):
    arrays = numpy_codec.random_arrays(
        np.random.default_rng(2), (128, 256, 512, 512), 512, 512
    )
    np.savez(tmp_path / "vae.npz", **arrays)
    codec = load_mask_codec(tmp_path / "vae.npz")
    assert codec.encoder_dims == (128, 256, 512, 512)
    assert (codec.decoder_dim, codec.codeword_dim) == (512, 512)
    assert codec.decode(codec.encode(np.zeros((1, 64, 64)))).shape[1:] == (
        64,
        64,
    )


@pytest.mark.parametrize("dtype, error", [("float32", 0), ("float16", 1e-3)])
def test_what_is_saved_is_what_was_read(codec, arrays, tmp_path, dtype, error):
    save_mask_codec(codec, tmp_path / "again.npz", dtype)
    assert [file.name for file in tmp_path.iterdir()] == ["again.npz"]
    with np.load(tmp_path / "again.npz") as again:
        assert set(again.files) == set(arrays)
        for name in again.files:
            assert again[name].dtype == dtype
            np.testing.assert_allclose(
                again[name].astype("float32"), arrays[name], error, error
            )


def test_damaged_files(arrays, tmp_path):
    def refused(change, message):
        damaged = dict(arrays)
        change(damaged)
        np.savez(tmp_path / "damaged.npz", **damaged)
        with pytest.raises(ValueError, match=message):
            load_mask_codec(tmp_path / "damaged.npz")

    refused(lambda a: a.pop("decoder.12.bias"), "Missing: .*decoder.12.bias")
    refused(lambda a: a.pop("encoder.0.weight"), "Missing: .*encoder.0.weight")
    refused(
        lambda a: a.update({"decoder.14.bias": np.zeros(1)}),
        "Left over: .*decoder.14.bias",
    )
    refused(
        lambda a: a.update({"encoder.2.weight": np.zeros((5, 3, 4, 4))}),
        r"encoder.2.weight does not fit.*\(5, 4, 4, 4\).*\(5, 3, 4, 4\)",
    )
    refused(
        lambda a: a.update({"decoder.0.weight": np.zeros((8, 9))}),
        r"decoder.0.weight does not fit.*\(8, 9\)",
    )
    refused(
        lambda a: a.update({"_vq_vae._embedding": np.zeros((64, 9))}),
        r"_embedding does not fit.*\(128, 9\).*\(64, 9\)",
    )
    with pytest.raises(FileNotFoundError):
        load_mask_codec(tmp_path / "absent.npz")
    # Nothing is unpickled.
    np.savez(tmp_path / "pickle.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle|Object arrays"):
        load_mask_codec(tmp_path / "pickle.npz")
