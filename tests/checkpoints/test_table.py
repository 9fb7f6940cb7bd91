import numpy as np
import pytest

from keras_paligemma.checkpoints import big_vision
from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import keras_hub
from keras_paligemma.checkpoints import table
from keras_paligemma.checkpoints import transformers
from keras_paligemma.checkpoints.arrays import LazyArray
from tests.checkpoints.writers import tiny_arguments

COMPONENTS = tuple(canonical.COMPONENTS)
TABLES = {
    "transformers": transformers.table,
    "big_vision": big_vision.table,
    "big_vision_layers": lambda a: big_vision.table(a, False, False),
    "big_vision_transposed": lambda a: big_vision.table(
        a, transposed_gating=True
    ),
    "keras_hub": lambda a: keras_hub.table("PaliGemmaBackbone"),
    "siglip": lambda a: keras_hub.table("SigLIPBackbone"),
}


def _canonical_arrays(arguments):
    rng = np.random.default_rng(0)
    return {
        path: rng.standard_normal(shape).astype("float32")
        for path, shape in canonical.canonical_shapes(arguments).items()
    }


def _lazy(arrays):
    return {k: LazyArray.from_numpy(v, f"f: {k}") for k, v in arrays.items()}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    "arguments",
    [
        tiny_arguments(1),
        tiny_arguments(2),
        tiny_arguments(1, num_key_value_heads=4),
    ],
    ids=["1", "2", "joined"],
)
def test_inverse_then_table_gives_the_same_arrays(name, arguments):
    rows = TABLES[name](arguments)
    arrays = _canonical_arrays(arguments)
    source = table.invert(rows, _lazy(arrays), arguments, COMPONENTS)
    back = table.expand(rows, source, arguments, COMPONENTS)
    assert list(back) == list(arrays)
    for path, expected in arrays.items():
        np.testing.assert_array_equal(back[path].read(), expected)


def test_canonical_shapes_of_published_sizes():
    arguments = {
        **tiny_arguments(1),
        "vocabulary_size": 257152,
        "image_size": 448,
        "vit_patch_size": 14,
        "vit_hidden_dim": 1152,
        "hidden_dim": 2048,
        "num_query_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 256,
    }
    shapes = canonical.canonical_shapes(arguments)
    expected = {
        "image_encoder/patch_embedding/kernel": (1152, 588),
        "image_encoder/position_embedding": (1024, 1152),
        "projector/kernel": (2048, 1152),
        "embedding/embeddings": (257152, 2048),
        "decoder/block_1/attention/query_dense/kernel": (2048, 2048),
        "decoder/block_0/attention/key_dense/kernel": (256, 2048),
    }
    assert {path: shapes[path] for path in expected} == expected
    assert "decoder/block_0/post_attention_norm/scale" not in shapes


def test_all_faults_are_listed_together():
    arguments = tiny_arguments(1)
    rows = transformers.table(arguments)
    arrays = _lazy(_canonical_arrays(arguments))
    source = table.invert(rows, arrays, arguments, COMPONENTS)
    unread = {key: _unreadable(array) for key, array in source.items()}
    del unread["text.norm.weight"]
    unread["projector.linear.bias"] = _unreadable(
        LazyArray.from_numpy(np.ones(3), "f: projector.linear.bias")
    )
    unread["extra"] = _unreadable(LazyArray.from_numpy(np.ones(2), "f: extra"))
    unread["known"] = unread["extra"]
    with pytest.raises(ValueError, match="nothing was loaded") as error:
        table.expand(rows, unread, arguments, COMPONENTS, ("known",), "f")
    lines = str(error.value).split("\n  ")[1:]
    assert sorted(lines) == [
        "f: extra: left over, no part of the model takes it. "
        "Received: shape=(2,)",
        "f: projector.linear.bias: expected shape (24,) for projector/bias. "
        "Received: shape=(3,)",
        "f: text.norm.weight: missing; expected shape (24,) for "
        "decoder/final_norm/scale",
    ]


def _unreadable(array):
    def load(start, stop):
        raise AssertionError("read before all was checked")

    return LazyArray(array.shape, array.dtype, array.source, load)


def test_inverse_checks_shapes_and_coverage():
    arguments = tiny_arguments(1)
    arrays = _lazy(_canonical_arrays(arguments))
    del arrays["projector/bias"]
    arrays["other"] = arrays["projector/kernel"]
    with pytest.raises(ValueError, match="projector/bias: missing") as error:
        table.invert(
            transformers.table(arguments), arrays, arguments, COMPONENTS
        )
    assert "no variable other is known" in str(error.value)


def test_a_table_must_cover_each_variable_once():
    arguments = tiny_arguments(1)
    with pytest.raises(ValueError, match="no rows for .*projector/bias"):
        table.entries(transformers.PROJECTOR[:1], arguments, ("projector",))
    with pytest.raises(ValueError, match="no one row for projector/kernel"):
        table.entries(transformers.PROJECTOR * 2, arguments, ("projector",))


def test_many_faults_are_cut():
    with pytest.raises(ValueError, match="and 60 more"):
        table.raise_problems([str(i) for i in range(100)], "Bad")
