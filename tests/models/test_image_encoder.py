"""Patches in raster order, and several images an example."""

import numpy as np
from keras import ops

from keras_paligemma.models.image_encoder import patches
from tests.models import tiny_models


def as_numpy(x):
    return ops.convert_to_numpy(x)


def several_images(count, rows=1):
    generator = np.random.default_rng(count)
    size = (rows, count, tiny_models.IMAGE_SIZE, tiny_models.IMAGE_SIZE, 3)
    return generator.uniform(-1, 1, size).astype("float32")


def token_inputs(rows=1, length=6):
    tokens = np.random.default_rng(0).integers(5, 300, (rows, length))
    response = np.arange(length)[None].repeat(rows, 0) >= 4
    return {
        "token_ids": tokens.astype("int32"),
        "padding_mask": np.ones((rows, length), "int32"),
        "response_mask": response.astype("int32"),
    }


def test_patches_go_by_row_column_channel():
    image = np.arange(4 * 4 * 3).reshape(1, 4, 4, 3).astype("float32")
    cut = as_numpy(patches(image, 2))
    assert cut.shape == (1, 4, 12)
    for index, (row, column) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        np.testing.assert_array_equal(
            cut[0, index],
            image[0, row : row + 2, column : column + 2].reshape(-1),
        )


def test_each_image_is_encoded_alone(backbone):
    images = several_images(5)
    together = as_numpy(backbone.image_encoder(images))
    alone = [as_numpy(backbone.image_encoder(images[:, i])) for i in range(5)]
    assert together.shape == (1, 20, 16)
    np.testing.assert_allclose(
        together, np.concatenate(alone, axis=1), atol=1e-5
    )
    assert np.abs(alone[0] - alone[1]).max() > 0.1


def test_five_images_equal_the_concatenation_by_hand(backbone):
    images, tokens = several_images(5), token_inputs()
    embeddings = [
        backbone.projector(backbone.image_encoder(images[:, i]))
        for i in range(5)
    ]
    by_hand = backbone.decoder(
        ops.concatenate(embeddings, axis=1),
        backbone.token_embedding(tokens["token_ids"]),
        image_mask=np.ones((1, 20), "int32"),
        padding_mask=tokens["padding_mask"],
        response_mask=tokens["response_mask"],
    )
    whole = as_numpy(backbone({"images": images, **tokens}))
    np.testing.assert_allclose(whole, as_numpy(by_hand), atol=1e-4)
    # In order: the same images the other way round are another input.
    turned = as_numpy(backbone({"images": images[:, ::-1].copy(), **tokens}))
    assert np.abs(turned - whole).max() > 0.01


def test_masked_images_change_nothing(backbone):
    images, tokens = several_images(3, rows=2), token_inputs(rows=2)
    mask = np.array([[1, 1, 0], [1, 1, 1]])
    outputs = as_numpy(
        backbone({"images": images, "image_mask": mask, **tokens})
    )
    alone = {key: value[:1] for key, value in tokens.items()}
    np.testing.assert_allclose(
        outputs[:1],
        as_numpy(backbone({"images": images[:1, :2], **alone})),
        atol=1e-4,
    )
    images[0, 2] = 0.3
    again = as_numpy(backbone({"images": images, "image_mask": mask, **tokens}))
    np.testing.assert_array_equal(again, outputs)


def test_one_image_may_go_without_an_axis(backbone):
    images, tokens = several_images(1, rows=2), token_inputs(rows=2)
    np.testing.assert_array_equal(
        as_numpy(backbone({"images": images, **tokens})),
        as_numpy(backbone({"images": images[:, 0], **tokens})),
    )
