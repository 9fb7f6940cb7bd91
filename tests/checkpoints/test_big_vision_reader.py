import numpy as np
import pytest

from keras_paligemma.checkpoints import big_vision
from keras_paligemma.checkpoints import canonical
from keras_paligemma.checkpoints import table
from keras_paligemma.checkpoints.big_vision_reader import read_big_vision
from tests.checkpoints.writers import tiny_arguments
from tests.checkpoints.writers import write_big_vision_npz

COMPONENTS = tuple(canonical.COMPONENTS)


def _as_float32(arrays):
    return {key: value.astype("float32") for key, value in arrays.items()}


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float16", "prefix": ""},
        {"dtype": "bfloat16"},
        {"stacked": False},
        {"compressed": True, "dtype": "bfloat16"},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "plain",
)
def test_sizes_and_values(tmp_path, generation, options):
    path = tmp_path / "x.npz"
    expected = tiny_arguments(generation)
    stored = write_big_vision_npz(path, expected, **options)
    arguments, arrays = read_big_vision(path)
    assert arguments == expected
    values = {p: a.read().astype("float32") for p, a in arrays.items()}
    stacked = options.get("stacked", True)
    check_maths(values, _as_float32(stored), arguments, stacked)
    rows = big_vision.table(arguments, stacked, stacked)
    back = table.invert(rows, arrays, arguments, COMPONENTS)
    assert set(back) == set(stored)
    for key, array in stored.items():
        np.testing.assert_array_equal(back[key].read(), array, err_msg=key)


def check_maths(values, stored, arguments, stacked=True):
    """Each product of big_vision's layers is that of our kernels."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, arguments["hidden_dim"]))
    v = rng.standard_normal((5, arguments["vit_hidden_dim"]))

    def same(path, inputs, expected, bias=True):
        result = inputs @ values[f"{path}/kernel"].T
        if bias:
            result = result + values[f"{path}/bias"]
        expected = expected.reshape(result.shape)
        np.testing.assert_allclose(result, expected, atol=1e-4)

    patch = rng.standard_normal((4, 4, 3))
    same(
        "image_encoder/patch_embedding",
        patch.reshape(1, -1),
        np.einsum("hwc,hwcd->d", patch, stored["img/embedding/kernel"])
        + stored["img/embedding/bias"],
    )
    np.testing.assert_array_equal(
        values["image_encoder/position_embedding"],
        stored["img/pos_embedding"][0],
    )
    same(
        "projector", v, v @ stored["img/head/kernel"] + stored["img/head/bias"]
    )
    for i in range(2):

        def vision(key, i=i):
            if stacked:
                return stored[f"img/Transformer/encoderblock/{key}"][i]
            return stored[f"img/Transformer/encoderblock_{i}/{key}"]

        def text(key, i=i):
            if stacked:
                return stored[f"llm/layers/{key}"][i]
            return stored[f"llm/layers/{i}/{key}"]

        path = f"image_encoder/block_{i}"
        heads = "MultiHeadDotProductAttention_0"
        for name in ("query", "key", "value"):
            same(
                f"{path}/attention/{name}_dense",
                v,
                np.einsum("td,dnh->tnh", v, vision(f"{heads}/{name}/kernel"))
                + vision(f"{heads}/{name}/bias"),
            )
        out = vision(f"{heads}/out/kernel")
        same(
            f"{path}/attention/output_dense",
            v,
            np.einsum("tnh,nhd->td", v.reshape(5, *out.shape[:2]), out)
            + vision(f"{heads}/out/bias"),
        )
        first = vision("MlpBlock_0/Dense_0/kernel")
        same(
            f"{path}/feedforward/input_dense",
            v,
            v @ first + vision("MlpBlock_0/Dense_0/bias"),
        )
        path = f"decoder/block_{i}"
        if arguments["num_query_heads"] == arguments["num_key_value_heads"]:
            joined = np.einsum("td,kndh->ktnh", x, text("attn/qkv_einsum/w"))
        else:
            q = np.einsum("td,ndh->tnh", x, text("attn/q_einsum/w"))
            kv = np.einsum("td,kndh->ktnh", x, text("attn/kv_einsum/w"))
            joined = (q, *kv)
        for name, result in zip(("query", "key", "value"), joined, strict=True):
            same(f"{path}/attention/{name}_dense", x, result, bias=False)
        out = text("attn/attn_vec_einsum/w")
        y = rng.standard_normal((5, *out.shape[:2]))
        same(
            f"{path}/attention/output_dense",
            y.reshape(5, -1),
            np.einsum("tnh,nhd->td", y, out),
            bias=False,
        )
        gate, up = text("mlp/gating_einsum")
        same(f"{path}/feedforward/gate_dense", x, x @ gate, bias=False)
        same(f"{path}/feedforward/up_dense", x, x @ up, bias=False)
        down = text("mlp/linear")
        y = rng.standard_normal((5, down.shape[0]))
        same(f"{path}/feedforward/down_dense", y, y @ down, bias=False)
        for ours, theirs in (
            ("attention_norm", "pre_attention_norm"),
            ("feedforward_norm", "pre_ffw_norm"),
            ("post_attention_norm", "post_attention_norm"),
            ("post_feedforward_norm", "post_ffw_norm"),
        ):
            if f"{path}/{ours}/scale" in values:
                scale = values[f"{path}/{ours}/scale"]
                np.testing.assert_array_equal(scale, text(f"{theirs}/scale"))


def test_as_many_key_heads_as_query_heads(tmp_path):
    expected = tiny_arguments(1, num_key_value_heads=4)
    stored = write_big_vision_npz(tmp_path / "x.npz", expected)
    arguments, arrays = read_big_vision(tmp_path / "x.npz")
    assert arguments == expected
    values = {path: array.read() for path, array in arrays.items()}
    check_maths(values, stored, arguments)


def test_only_the_27b_scales_by_width(tmp_path):
    path = tmp_path / "x.npz"
    shape = {"hidden_dim": 4608, "num_query_heads": 32, "head_dim": 128}
    small = {
        "num_layers": 1,
        "num_key_value_heads": 1,
        "intermediate_dim": 2,
        "vocabulary_size": 3,
    }
    expected = tiny_arguments(
        2, **shape, **small, query_head_dim_normalize=False
    )
    write_big_vision_npz(path, expected, dtype="float16")
    assert read_big_vision(path)[0] == expected


def test_optimizer_state_is_ignored(tmp_path):
    arrays = write_big_vision_npz(tmp_path / "x.npz")
    stored = {f"params/{key}": value for key, value in arrays.items()}
    np.savez(tmp_path / "y.npz", **stored, **{"opt/0/count": np.ones(())})
    read_big_vision(tmp_path / "y.npz")


def test_faults_are_named(tmp_path):
    path = tmp_path / "x.npz"
    arrays = write_big_vision_npz(path)
    del arrays["img/head/bias"]
    arrays["img/surplus"] = np.ones(2)
    arrays["llm/layers/mlp/linear"] = arrays["llm/layers/mlp/linear"][:, :, :9]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="nothing was loaded") as error:
        read_big_vision(path)
    text = str(error.value)
    assert f"{path}: img/head/bias: missing" in text
    assert f"{path}: img/surplus: left over" in text
    assert (
        f"{path}: llm/layers/mlp/linear: expected shape (2, 20, 24) for "
        "decoder/block_0/feedforward/down_dense/kernel. "
        "Received: shape=(2, 20, 9)"
    ) in text


def test_another_model(tmp_path):
    path = tmp_path / "vae-oid.npz"
    np.savez(path, **{"encoder.0.weight": np.ones((2, 2))})
    with pytest.raises(ValueError, match="another model") as error:
        read_big_vision(path)
    assert str(path) in str(error.value)
    positions = np.ones((1, 8, 16), "float32")
    arrays = write_big_vision_npz(path)
    np.savez(path, **{**arrays, "img/pos_embedding": positions})
    with pytest.raises(ValueError, match="square number of positions"):
        read_big_vision(path)
