"""Stage 0's SigLIP: what it is asked, and what it begins with."""

import math

import numpy as np
import pytest
from keras import ops

from examples import tiny_scenes
from examples import tiny_siglip
from examples import tiny_starts
from examples import tiny_words
from keras_paligemma.data.synthetic import SyntheticWorld
from keras_paligemma.data.synthetic.scene import PlacedObject
from keras_paligemma.data.synthetic.scene import PlacedWord
from keras_paligemma.data.synthetic.scene import Scene
from keras_paligemma.data.synthetic.scene import box_of

WORDS = tiny_words.world_words()


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


def shown(answers):
    """The words that are answered with yes."""
    return {w for w, a in zip(WORDS, answers, strict=True) if a == 1}


def test_patches_are_asked_for_what_they_show():
    star, cat = np.zeros((2, 28, 28), bool)
    star[:14, :21] = True  # The first patch, and half of the one beside it.
    cat[26:, 26:] = True  # A corner of the last patch: 4 of 196 pixels.
    cat[14:16, 14:20] = True
    things = (placed("star", "red", star), placed("cat", "blue", cat))
    scene = Scene(np.zeros((28, 28, 3), "uint8"), things, (), "gradient")
    answers = tiny_words.patch_answers(scene)
    assert answers.shape == (4, len(WORDS))
    # Of 28 pixels: 0 to 14 downwards, 0 to 21 to the right.
    edges = {"top <loc0000>", "left <loc0000>"}
    edges |= {"bottom <loc0512>", "right <loc0767>"}
    star = {"star", "red", *edges}
    first, second = "<loc0256>", "<loc0767>"
    assert shown(answers[0]) == {*star, f"row {first}", f"column {first}"}
    assert shown(answers[1]) == {*star, f"row {first}", f"column {second}"}
    assert shown(answers[2]) == {f"row {second}", f"column {first}"}
    assert (answers[:3] != 0).all()
    # 16 of 196 pixels: neither shown nor free of it, but the place is sure.
    assert (answers[3, : tiny_words.THING_WORDS] == 0).all()
    assert shown(answers[3]) == {f"row {second}", f"column {second}"}
    assert (answers[3, tiny_words.THING_WORDS :] != 0).all()


def test_an_empty_scene_shows_places_alone():
    scene = Scene(np.zeros((28, 28, 3), "uint8"), (), (), "gradient")
    answers = tiny_words.patch_answers(scene)
    assert (answers != 0).all()
    assert ((answers == 1).sum(1) == 2).all()


def test_patches_of_words_are_asked_for_their_letters():
    # From 14 to 98 pixels to the right, in the patches of two rows.
    word = PlacedWord("oxo", (0.25, 0.125, 0.5, 0.875), "latin")
    scene = Scene(np.zeros((112, 112, 3), "uint8"), (), (word,), "gradient")
    answers = tiny_words.patch_answers(scene)[:, -len(tiny_words.letters()) :]
    answers = answers.reshape(8, 8, -1)
    o, x = (tiny_words.letters().index(letter) for letter in "ox")
    ends = tiny_words.letter_ends("oxo", "latin") * 84 + 14
    for column in range(8):
        expected = -1
        middle = 14 * column + 7
        if ends[0] <= middle < ends[1] or ends[2] <= middle < ends[3]:
            expected = 1
        elif ends[0] - 10.5 <= middle < ends[3] + 10.5:
            expected = 0
        assert (answers[2:4, column, o] == expected).all()
    assert (answers[2:4, 3:5, x] == 1).all()
    # Above and below, and of letters that it does not have, there is none.
    assert (answers[[0, 1, 4, 5]] == -1).all()
    assert (np.delete(answers, [o, x], axis=-1) == -1).all()


def test_every_letter_of_the_world_can_be_asked():
    world = SyntheticWorld(64, seed=3)
    for index in range(300):
        for word in world.scene(index, "words").words:
            assert set(word.text) <= set(tiny_words.letters())


def test_answers_fit_a_drawn_scene():
    scene = SyntheticWorld(112, seed=2)[3]
    answers = tiny_words.patch_answers(scene)
    kinds = {word for row in answers for word in shown(row)} & set(WORDS[:39])
    there = {thing.kind for thing in scene.objects}
    there |= {thing.colour for thing in scene.objects}
    assert kinds and kinds <= there


def test_a_part_of_a_scene_shows_what_lies_in_it():
    scene = SyntheticWorld(224, seed=2).scene(5, "words")
    part = tiny_words.cropped(scene, 28, 42, 112)
    whole = tiny_words.patch_answers(scene).reshape(16, 16, -1)
    answers = tiny_words.patch_answers(part).reshape(8, 8, -1)
    assert (part.image == scene.image[28:140, 42:154]).all()
    # Kinds, colours and letters; edges and places are the part's own.
    for words in (slice(39), slice(-len(tiny_words.letters()), None)):
        np.testing.assert_array_equal(
            answers[..., words], whole[2:10, 3:11, words]
        )
    for thing in part.objects:
        assert thing.box == box_of(thing.mask)


def test_larger_pictures_are_cut_to_something_to_read():
    asked = tiny_siglip.asked_scenes(SyntheticWorld(112, seed=0))
    raw = asked.batch(0, 16)
    assert raw["images"].shape == (16, 112, 112, 3)
    letters = raw["words"][..., -len(tiny_words.letters()) :]
    for caption, answers in zip(raw["captions"], letters, strict=True):
        assert caption or (answers != -1).any()
    parts = [caption == "" for caption in raw["captions"]]
    assert sum(parts) == 6  # Of 16, in the shares 5 and 3.


def test_answers_are_kept_in_little_room():
    answers = tiny_words.patch_answers(SyntheticWorld(112, seed=2)[3])
    kept = tiny_scenes.sparse(answers)
    assert sum(array.nbytes for array in kept) < answers.nbytes / 5
    found = tiny_scenes.dense(kept, answers.shape)
    np.testing.assert_array_equal(found, answers)


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
        token_ids = np.ones((12, 2), "int32")

        def __len__(self):
            return 12

        def words(self, rows):
            return np.zeros((len(rows), 1, 3), "int8")

    batches = tiny_scenes.SiglipBatches(Scenes(), steps=6, batch_size=4)
    seen = []
    for inputs, answers in (batches[i] for i in range(len(batches))):
        pixels = (inputs["images"].ravel() + 1.0) * 127.5
        seen += pixels.round().astype(int).tolist()
        assert (answers["captions"] == 2 * np.eye(4) - 1).all()
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:]


def test_a_picture_without_a_caption_is_no_pair():
    class Scenes:
        images = np.zeros((2, 1, 1, 1), "uint8")
        token_ids = np.array([[0, 0], [7, 0]], "int32")

        def __len__(self):
            return 2

        def words(self, rows):
            return np.zeros((len(rows), 1, 3), "int8")

    inputs, answers = tiny_scenes.SiglipBatches(Scenes(), 1, batch_size=2)[0]
    captioned = int(inputs["token_ids"].any(1).argmax())
    expected = np.zeros((2, 2))
    expected[captioned, captioned] = 1
    np.testing.assert_array_equal(answers["captions"], expected)
