import io
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_paligemma.preprocessing import load_image


@pytest.fixture
def photograph(photographs):
    return photographs["cat"]


def save(image, path, **kwargs):
    Image.fromarray(image).save(path, **kwargs)
    return path


def test_files_and_pil_images(photograph, tmp_path):
    path = save(photograph, tmp_path / "cat.png")
    for image in (
        path,
        str(path),
        str(path).encode(),
        np.array(str(path)),
        tf.constant(str(path)),
        Image.open(path),
        Image.fromarray(photograph),
    ):
        loaded = load_image(image)
        assert loaded.dtype == np.uint8
        np.testing.assert_array_equal(loaded, photograph)


def test_arrays_and_tensors(photograph):
    for image in (
        photograph,
        photograph.astype("float32"),
        photograph.astype("int64"),
        photograph.astype("float16"),
        keras.ops.convert_to_tensor(photograph),
        keras.ops.convert_to_tensor(photograph.astype("float32")),
        tf.constant(photograph),
    ):
        loaded = load_image(image)
        assert loaded.dtype in (np.uint8, np.float32)
        np.testing.assert_array_equal(loaded, photograph)


def test_bfloat16_tensor():
    image = np.full((4, 5, 3), 128.0, "float32")
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(image), "bfloat16")
    np.testing.assert_array_equal(load_image(tensor), image)


def test_fractions_are_kept():
    image = np.full((4, 5, 3), 0.25, "float64")
    assert load_image(image).dtype == np.float32
    np.testing.assert_array_equal(load_image(image), image)


def test_grey(photograph, tmp_path):
    grey = photograph[..., 0]
    expected = np.stack([grey] * 3, axis=-1)
    path = save(grey, tmp_path / "grey.png")
    for image in (grey, grey[..., None], grey.astype("float32"), path):
        np.testing.assert_array_equal(load_image(image), expected)
    bilevel = load_image(Image.fromarray(grey).convert("1"))
    assert set(np.unique(bilevel)) == {0, 255}


def test_alpha_is_dropped(photograph, tmp_path):
    alpha = np.zeros_like(photograph[..., :1])
    rgba = np.concatenate([photograph, alpha], axis=-1)
    path = save(rgba, tmp_path / "rgba.png")
    for image in (rgba, path, Image.fromarray(rgba)):
        np.testing.assert_array_equal(load_image(image), photograph)
    grey_alpha = Image.fromarray(rgba).convert("LA")
    np.testing.assert_array_equal(
        load_image(grey_alpha), np.asarray(grey_alpha.convert("RGB"))
    )


@pytest.mark.parametrize("transparency", [None, 3, bytes([0, 128, 255])])
def test_palette_with_transparency(photograph, tmp_path, transparency):
    palette = Image.fromarray(photograph).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    options = {} if transparency is None else {"transparency": transparency}
    palette.save(tmp_path / "palette.png", **options)
    with Image.open(tmp_path / "palette.png") as image:
        assert image.mode == "P"
    loaded = load_image(tmp_path / "palette.png")
    np.testing.assert_array_equal(loaded, expected)


def test_cmyk(photograph, tmp_path):
    image = Image.fromarray(photograph).convert("CMYK")
    image.save(tmp_path / "cmyk.tiff")
    loaded = load_image(tmp_path / "cmyk.tiff")
    np.testing.assert_array_equal(loaded, np.asarray(image.convert("RGB")))


def test_sixteen_bit_grey(photograph, tmp_path):
    grey = photograph[..., 0]
    expected = np.stack([grey] * 3, axis=-1)
    wide = grey.astype("uint16") * 257
    path = save(wide, tmp_path / "grey16.png")
    for image in (path, Image.fromarray(wide.astype("int32"))):
        np.testing.assert_array_equal(load_image(image), expected)
    with pytest.raises(ValueError, match=r"0\.\.255"):
        load_image(wide)


def test_exif_orientation(photograph, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    path = save(photograph, tmp_path / "turned.png", exif=exif)
    expected = np.rot90(photograph, k=-1)
    np.testing.assert_array_equal(load_image(path), expected)
    np.testing.assert_array_equal(load_image(Image.open(path)), expected)


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere/cat.png"):
        load_image("nowhere/cat.png")


def test_truncated_jpeg_is_named(photograph, tmp_path):
    path = tmp_path / "cut.jpg"
    save(photograph, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cut.jpg.*truncated"):
        load_image(path)
    with (
        Image.open(path) as image,
        pytest.raises(ValueError, match="truncated"),
    ):
        load_image(image)
    path.write_bytes(content[:20])
    with pytest.raises(ValueError, match="cut.jpg"):
        load_image(path)


def test_truncated_png_is_named(photograph, tmp_path):
    path = save(photograph, tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="cut.png"):
        load_image(path)


def test_text_file_and_folder_are_named(tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    with pytest.raises(ValueError, match="notes.jpg.*not an image"):
        load_image(tmp_path / "notes.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="empty.jpg.*not an image"):
        load_image(tmp_path / "empty.jpg")
    with pytest.raises(ValueError, match="folder"):
        load_image(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.jpg",
        pathlib.Path("https://example.com/cat.jpg"),
        b"gs://bucket/cat.jpg",
        "data:image/png;base64,AAAA",
    ],
)
def test_urls_are_refused(url):
    with pytest.raises(ValueError, match="local path"):
        load_image(url)


def test_encoded_bytes_are_refused(photograph):
    buffer = io.BytesIO()
    Image.fromarray(photograph).save(buffer, "JPEG")
    with pytest.raises(ValueError, match="io.BytesIO"):
        load_image(buffer.getvalue())


@pytest.mark.parametrize(
    "shape", [(5,), (4, 5, 2), (4, 5, 5), (3, 4, 5, 3), (0, 5, 3), ()]
)
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="shape=") as error:
        load_image(np.zeros(shape, "uint8"))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("value", [-1.0, 300.0, np.nan, np.inf])
def test_values_out_of_range_are_refused(value):
    image = np.full((4, 5, 3), 100.0, "float32")
    image[1, 1] = value
    with pytest.raises(ValueError, match=r"0\.\.255"):
        load_image(image)


@pytest.mark.parametrize("image", [None, 3, {"image": 1}, [[1, 2], [3, 4]]])
def test_other_types_are_refused(image):
    with pytest.raises(ValueError, match="type"):
        load_image(image)


def test_booleans_are_refused():
    with pytest.raises(ValueError, match="dtype=bool"):
        load_image(np.ones((4, 5), bool))
