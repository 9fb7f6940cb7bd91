"""Layout maps: every variable, one rule each, sizes that divide."""

import re
import types

import keras
import pytest

from keras_paligemma.models import layouts
from keras_paligemma.models.backbone import PaliGemmaBackbone
from tests.models import tiny_models


class Mesh(keras.distribution.DeviceMesh):
    """A mesh of devices that need not be there."""

    def __init__(self, batch, model):
        devices = [f"cpu:{i}" for i in range(batch * model)]
        super().__init__((batch, model), ("batch", "model"), devices)


@pytest.fixture(scope="module")
def variables():
    """Variables of a Gemma 1 and of a Gemma 2 decoder."""
    return [
        tiny_models.tiny_backbone(
            vocabulary_size=320,
            vit_num_heads=4,
            use_post_ffw_norm=post_norms,
            use_post_attention_norm=post_norms,
        ).weights
        for post_norms in (False, True)
    ]


def test_every_variable_has_one_rule_and_every_rule_a_variable(variables):
    layout_map = PaliGemmaBackbone.get_layout_map(Mesh(2, 4))
    for weights in variables:
        layouts.check_layout_map(layout_map, weights)


def test_pairs_of_products_are_split_as_in_megatron():
    layout_map = PaliGemmaBackbone.get_layout_map(Mesh(2, 4))
    block = "decoder/block_17/"
    for path, axes in (
        ("embedding/embeddings", ("model", "batch")),
        (block + "attention/query_dense/kernel", ("model", "batch")),
        # One head of keys and values can not be split.
        (block + "attention/key_dense/kernel", (None, "batch")),
        (block + "attention/output_dense/kernel", ("batch", "model")),
        (block + "feedforward/gate_dense/kernel", ("model", "batch")),
        (block + "feedforward/down_dense/kernel", ("batch", "model")),
        (block + "post_attention_norm/scale", (None,)),
        ("image_encoder/block_0/attention/key_dense/bias", ("model",)),
        ("image_encoder/block_0/feedforward/output_dense/bias", (None,)),
    ):
        assert layout_map[path].axes == axes


@pytest.mark.parametrize(
    "heads, axis", [(1, None), (4, "model"), (6, None), (8, "model")]
)
def test_heads_of_keys_are_split_where_they_divide(heads, axis):
    layout_map = PaliGemmaBackbone.get_layout_map(
        Mesh(2, 4), num_key_value_heads=heads
    )
    path = "decoder/block_0/attention/value_dense/kernel"
    assert layout_map[path].axes == (axis, "batch")


def test_an_axis_may_be_left_out():
    layout_map = PaliGemmaBackbone.get_layout_map(
        Mesh(2, 4), data_parallel_dim_name=None
    )
    axes = {axis for layout in layout_map.values() for axis in layout.axes}
    assert axes == {None, "model"}


def test_a_pattern_without_variable_is_named(variables):
    layout_map = PaliGemmaBackbone.get_layout_map(Mesh(2, 4))
    layout_map["decoder/adapter/.*"] = (None,)
    with pytest.raises(ValueError, match="decoder/adapter"):
        layouts.check_layout_map(layout_map, variables[0])


def test_a_variable_without_rule_or_with_two_is_named(variables):
    layout_map = PaliGemmaBackbone.get_layout_map(Mesh(2, 4))
    stranger = types.SimpleNamespace(path="decoder/adapter/a", shape=(4,))
    with pytest.raises(ValueError, match="adapter/a, matched by none"):
        layouts.check_layout_map(layout_map, [*variables[0], stranger])
    layout_map["projector/.*"] = (None,)
    with pytest.raises(ValueError, match=r"projector/\w+, matched by \["):
        layouts.check_layout_map(layout_map, variables[0])


def test_a_size_that_does_not_divide_is_named(variables):
    layout_map = PaliGemmaBackbone.get_layout_map(Mesh(1, 7))
    message = "Dimension 0 of embedding/embeddings .* 'model'|image_encoder/"
    with pytest.raises(ValueError, match=message) as raised:
        layouts.check_layout_map(layout_map, variables[0])
    assert re.search(r"7 devices along 'model'", str(raised.value))


def test_published_sizes_divide_by_eight():
    layout_map = PaliGemmaBackbone.get_layout_map(Mesh(8, 8))
    for path, shape in (
        ("embedding/embeddings", (257152, 2304)),
        ("decoder/block_0/attention/key_dense/kernel", (1024, 2304)),
        ("decoder/block_0/feedforward/down_dense/kernel", (2304, 9216)),
        ("image_encoder/patch_embedding/kernel", (1152, 588)),
        ("image_encoder/position_embedding", (256, 1152)),
        ("image_encoder/block_0/feedforward/input_dense/kernel", (4304, 1152)),
        ("image_encoder/block_0/feedforward/input_dense/bias", (4304,)),
        ("projector/kernel", (2304, 1152)),
    ):
        variable = types.SimpleNamespace(path=path, shape=shape)
        layouts.check_layout(variable, layout_map[path])


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="DeviceMesh.*Received.*'cpu'"):
        PaliGemmaBackbone.get_layout_map("cpu")
    with pytest.raises(ValueError, match="model_parallel_dim_name='rows'"):
        PaliGemmaBackbone.get_layout_map(Mesh(2, 4), "rows")
