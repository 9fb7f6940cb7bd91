"""Stage 0's SigLIP: what it is asked, and what it begins with."""

import math

import numpy as np
import pytest
from keras import ops

from examples import tiny_scenes
from examples import tiny_siglip
from examples import tiny_starts
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic.scene import PlacedObject
from keras_paligemma.data.synthetic.scene import Scene
from keras_paligemma.data.synthetic.scene import box_of

WORDS = tiny_scenes.world_words()


def placed(kind, colour, mask):
    return PlacedObject(
        kind=kind,
        colour=colour,
        mask=mask,
        box=box_of(mask),
        visible=1.0,
        depth=0,
        radius=1.0,
        rotation=0.0,
        mirrored=False,
        corner=(0, 0),
    )


def test_patches_are_asked_for_what_they_show():
    star, cat = np.zeros((2, 28, 28), bool)
    star[:14, :20] = True  # The first patch, and 6 of 14 columns beside it.
    cat[26:, 26:] = True  # A corner of the last patch: 4 of 196 pixels.
    cat[14:16, 14:20] = True
    things = (placed("star", "red", star), placed("cat", "blue", cat))
    scene = Scene(np.zeros((28, 28, 3), "uint8"), things, (), "gradient")
    answers = tiny_scenes.patch_answers(scene)
    assert answers.shape == (4, len(WORDS))
    for patch, expected in enumerate([{"star", "red"}, {"star", "red"}, set()]):
        yes = {w for w, a in zip(WORDS, answers[patch], strict=True) if a == 1}
        assert yes == expected
        assert (answers[patch] != 0).all()
    # 16 of 196 pixels: neither shown nor free of it.
    assert (answers[3] == 0).all()


def test_an_empty_scene_shows_nothing():
    scene = Scene(np.zeros((28, 28, 3), "uint8"), (), (), "gradient")
    assert (tiny_scenes.patch_answers(scene) == -1).all()


def test_answers_fit_a_drawn_scene():
    scene = SyntheticWorld(112, seed=2)[3]
    answers = tiny_scenes.patch_answers(scene)
    yes = {WORDS[i] for i in np.flatnonzero((answers == 1).any(0))}
    there = {thing.kind for thing in scene.objects}
    there |= {thing.colour for thing in scene.objects}
    assert yes and yes <= there


def test_the_loss_is_the_papers():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (2, 3, 5)).astype("float32")
    answers = generator.integers(-1, 2, (2, 3, 5))
    expected = np.zeros((2, 3))
    for index in np.ndindex(answers.shape):
        if answers[index]:
            odds = math.exp(-answers[index] * logits[index])
            expected[index[:2]] += math.log(1 + odds)
    loss = tiny_siglip.PairwiseSigmoid(reduction=None)
    found = ops.convert_to_numpy(loss(answers.astype("int8"), logits))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_whitened_patches_are_alike_and_independent():
    images = np.array([SyntheticWorld(112, seed=1)[i].image for i in range(40)])
    kernel, bias = tiny_starts.whitened_patches(images, 14, 12, floor=1e-9)
    assert kernel.shape == (14, 14, 3, 12)
    cut = images.reshape(40, 8, 14, 8, 14, 3).transpose(0, 1, 3, 2, 4, 5)
    pixels = cut.reshape(-1, 588) / 127.5 - 1.0
    outputs = pixels @ kernel.reshape(588, 12) + bias
    np.testing.assert_allclose(outputs.mean(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.cov(outputs.T), 0.49 * np.eye(12), atol=1e-3)


@pytest.mark.parametrize("heads", [6, 3])
def test_heads_begin_by_looking_at_their_neighbours(heads):
    side, width, position_dim = 8, 192, 64
    places = np.zeros((side * side, width))
    places[:, -position_dim:] = tiny_starts.grid_waves(side, position_dim)
    query, key = tiny_starts.neighbour_kernels(width, position_dim, heads)
    scores = np.einsum(
        "pw,whd,qv,vhd->hpq", places, query, places, key, optimize=True
    )
    told = tiny_starts.NEIGHBOURS[:heads]
    for head, (down, right) in enumerate(told):
        for row in range(1, side - 1):
            for column in range(1, side - 1):
                seen = scores[head, row * side + column].argmax()
                expected = (row + down, column + right)
                assert divmod(seen, side) == expected
    assert not query[:, len(told) :].any()


def test_each_scene_is_seen_once_an_epoch():
    class Scenes:
        images = np.arange(12, dtype="uint8").reshape(12, 1, 1, 1)
        token_ids = np.zeros((12, 2), "int32")
        words = np.zeros((12, 1, 3), "int8")

        def __len__(self):
            return 12

    batches = tiny_scenes.SiglipBatches(Scenes(), steps=6, batch_size=4)
    seen = []
    for inputs, answers in (batches[i] for i in range(len(batches))):
        pixels = (inputs["images"].ravel() + 1.0) * 127.5
        seen += pixels.round().astype(int).tolist()
        assert (answers["captions"] == 2 * np.eye(4) - 1).all()
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:]
