import math

import pytest

from keras_paligemma.checkpoints import canonical_shapes
from keras_paligemma.checkpoints import published_arguments
from keras_paligemma.checkpoints import published_name
from keras_paligemma.checkpoints import published_presets

# Keras-Hub's table gives all resolutions of the 28B the same count, which is
# that of 224 px.
COUNTED_AT_224 = "28b"


@pytest.mark.parametrize("name", sorted(published_presets()))
def test_parameters_equal_keras_hubs_count(name):
    arguments = published_arguments(name)
    if COUNTED_AT_224 in name:
        arguments["image_size"] = 224
    shapes = canonical_shapes(arguments)
    total = sum(math.prod(shape) for shape in shapes.values())
    assert total == published_presets()[name]["metadata"]["params"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("pali_gemma_3b_224", "pali_gemma_3b_224"),
        ("pali_gemma_3b_pt_896", "pali_gemma_3b_896"),
        ("pali_gemma2_3b_224", "pali_gemma2_pt_3b_224"),
        ("pali_gemma2_3b_pt_224", "pali_gemma2_pt_3b_224"),
        ("pali_gemma2_28b_mix_448", "pali_gemma2_mix_28b_448"),
        ("pali_gemma2_ft_docci_3b_448", "pali_gemma_2_ft_docci_3b_448"),
        ("pali_gemma_10b_224", None),
        ("pali_gemma2_3b_225", None),
        ("gemma_2b_en", None),
    ],
)
def test_names_in_any_order(name, known):
    assert published_name(name) == known
    assert (published_arguments(name) is None) == (known is None)
