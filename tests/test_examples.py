"""Each example runs, and does what it says."""

import functools
import json

import keras
import numpy as np
import pytest

from examples import ablate_tiny
from examples import evaluate_tiny
from examples import finetune_photographs
from examples import pretrain_tiny
from examples import tiny_siglip
from examples import tiny_starts
from examples import tiny_unimodal
from examples import train_mask_vqvae
from examples import transfer_digits
from keras_paligemma import PaliGemmaCausalLM
from keras_paligemma.data.records import Record
from keras_paligemma.tasks.mask_vqvae import load_mask_codec
from tests import tiny_preset

# Programs that other backends compile for minutes; what they call is tested on
# each backend where it stands.
on_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="once is enough: on PyTorch"
)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A model for 112 px and long answers, of random weights."""
    folder = tmp_path_factory.mktemp("preset")
    tiny_preset.tiny_model().save_to_preset(str(folder / "28"))
    larger = PaliGemmaCausalLM.from_preset(
        str(folder / "28"), image_size=112, sequence_length=192
    )
    larger.save_to_preset(str(folder / "112"))
    return str(folder / "112")


def test_photographs_are_learned_by_heart(tmp_path):
    output = tmp_path / "photograph_model"
    captions, said = finetune_photographs.main(["--output", str(output)])
    assert said == captions
    assert (output / "captions.png").exists()


def test_the_mask_codec_is_trained_and_saved(tmp_path, monkeypatch):
    held_out = train_mask_vqvae.HELD_OUT
    assert held_out and not set(held_out) & set(train_mask_vqvae.TRAINED)
    # Small, since the example's width is for a day when it matters.
    small = functools.partial(
        train_mask_vqvae.MaskVQVAE, decoder_dim=16, encoder_dims=(4, 8, 8, 8)
    )
    monkeypatch.setattr(
        train_mask_vqvae, "make_codec", lambda seed: small(seed=seed)
    )
    output = tmp_path / "codec.npz"
    words = ["--epochs", "2", "--steps", "40", "--output", str(output)]
    codec, scores = train_mask_vqvae.main(words)
    assert set(scores) == set(train_mask_vqvae.KINDS)
    assert scores["ellipse"] > 0.5
    assert load_mask_codec(output).encoder_dims == codec.encoder_dims
    assert (tmp_path / "codec.png").exists()


@on_torch
def test_the_tiny_model_is_trained_from_nothing(tmp_path, monkeypatch):
    # Fewer layers, which compile sooner.
    monkeypatch.setattr(tiny_siglip, "LAYERS", 1)
    monkeypatch.setattr(tiny_unimodal, "GEMMA_LAYERS", 1)
    # The transfer has its own test.
    transferred = []
    monkeypatch.setattr(
        pretrain_tiny,
        "transfer",
        lambda *arguments: transferred.append(arguments[0]) or 0.5,
    )
    words = ["--workdir", str(tmp_path / "run"), "--scale", "0.0002"]
    words += ["--samples", "0", "--readers", "1"]
    pretrain_tiny.main([*words, "--ship", str(tmp_path / "shipped")])
    names = sorted(path.name for path in (tmp_path / "shipped").iterdir())
    assert names == sorted(pretrain_tiny.SHIPPED.values())
    stages = [path.parent.name for path in transferred]
    assert stages == ["stage_0", "stage_1"]
    model = PaliGemmaCausalLM.from_preset(
        str(tmp_path / "shipped" / "pali_gemma_tiny_mix_224")
    )
    assert model.backbone.image_size == 224
    assert model.backbone.token_embedding.dtype == "float32"
    # It is done, and goes on from there at once.
    pretrain_tiny.main(words)
    # Longer, from a stage's model.
    start = tmp_path / "run" / "stage_2" / "model"
    words = ["--workdir", str(tmp_path / "longer"), "--scale", "0.0002"]
    words += ["--samples", "0", "--readers", "1", "--start", str(start)]
    words += ["--first", "mix", "--examples", "mix=640000"]
    pretrain_tiny.main(words)
    run = json.loads((tmp_path / "longer" / "mix" / "run.json").read_text())
    assert run["examples"] == 128
    assert transferred[-2:] == [str(start), tmp_path / "longer/mix/model"]


def test_a_later_stage_needs_a_model_to_start_from(tmp_path, capsys):
    with pytest.raises(SystemExit):
        pretrain_tiny.main(["--workdir", str(tmp_path), "--first", "mix"])
    assert "--first mix needs --start" in capsys.readouterr().err


def test_presets_are_measured_and_compared(preset, tmp_path, capsys):
    words = ["--out", str(tmp_path), "--presets", preset]
    words += ["--count", "2", "--batch", "2"]
    rows = ["--rows", "grounded caption", "detect"]
    picture = tmp_path / "quality.png"
    evaluate_tiny.main([*words, *rows, "--table", "--plot", str(picture)])
    (file,) = tmp_path.glob("*.json")
    reports = json.loads(file.read_text())
    assert {row: report["count"] for row, report in reports.items()} == {
        "grounded caption": 2,
        "detect": 2,
    }
    printed = capsys.readouterr().out
    figure = reports["detect"]["metrics"]["mAP@0.5"]
    assert f"| detect | mAP@0.5 | ≥ 0.70 | {figure:.3f} |" in printed
    assert picture.exists()
    # Nothing is measured a second time.
    before = file.stat().st_mtime_ns
    evaluate_tiny.main([*words, *rows])
    assert file.stat().st_mtime_ns == before


@on_torch
def test_a_variant_is_trained_and_measured(preset, tmp_path, capsys):
    words = ["--start", preset, "--out", str(tmp_path)]
    words += ["--scale", "0.0001", "--count", "2", "--table"]
    ablate_tiny.main([*words, "--variants", "text fully causal"])
    (row,) = json.loads((tmp_path / "rows.json").read_text()).values()
    accuracy = row["detect"]["sparse_categorical_accuracy"]
    assert f"{accuracy:.3f}" in capsys.readouterr().out


def test_task_words_are_taken_off_prompts():
    strip = ablate_tiny.WithoutTaskWords()
    for prompt, left in {
        "caption en": "",
        "ocr": "",
        "answer de Was ist das?": "Was ist das?",
        "question en two": "two",
        "detect cat ; dog": "cat ; dog",
        "segment cat": "cat",
        "caption <loc0001><loc0002><loc0003><loc0004>": (
            "<loc0001><loc0002><loc0003><loc0004>"
        ),
        "describe this": "describe this",
    }.items():
        record = Record((), prompt, "")
        assert strip(record, None).prefix == left


def test_in_causal_text_prompts_do_not_see_what_follows(preset):
    model = PaliGemmaCausalLM.from_preset(preset)
    images = [np.zeros((112, 112, 3), "uint8")]
    x, y, weights = ablate_tiny.CausalText(
        model.preprocessor.tokenizer,
        model.preprocessor.image_converter,
        sequence_length=24,
    )(
        {
            "images": images,
            "prompts": ["detect circle"],
            "responses": ["<loc0001><loc0002><loc0003><loc0004> circle"],
        }
    )
    logits = keras.ops.convert_to_numpy(model(x))
    first = x["token_ids"][0, 1]
    x["token_ids"][0, 2:] = first
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(x))[:, :2], logits[:, :2], atol=1e-4
    )
    # The loss is over the answer alone, as ever.
    first = int(np.flatnonzero(weights[0])[0])
    assert first > 2 and x["response_mask"][0, : first + 1].all()


def test_digits_are_transferred_to(preset, tmp_path):
    trained_on, held_out = transfer_digits.digit_records()
    assert (len(trained_on), len(held_out)) == (1437, 360)
    assert trained_on[0].images[0].shape == (112, 112, 3)
    words = ["--preset", preset, "--workdir", str(tmp_path / "run")]
    words += ["--epochs", "0.05"]
    accuracy = transfer_digits.main(words)
    assert 0.0 <= accuracy <= 1.0


def test_photographs_and_captions_differ():
    pairs = finetune_photographs.photographs()
    assert len({caption for _, caption in pairs}) == len(pairs) == 8
    assert all(image.dtype == "uint8" for image, _ in pairs)
    with pytest.raises(SystemExit):
        finetune_photographs.main(["--no-such-option"])


def test_neighbouring_locations_begin_alike():
    waves = tiny_starts.line_waves(1024, 192)
    likeness = waves @ waves.T / 96
    assert np.diag(likeness) == pytest.approx(1.0)
    near, far = likeness[500, 501], likeness[500, 520]
    assert near > far > likeness[500, 900]
    assert near > 0.95 and abs(likeness[0, 1023]) < 0.5


def test_only_location_rows_are_made_smooth():
    model = tiny_preset.tiny_model()
    tokenizer = model.preprocessor.tokenizer
    table = model.backbone.token_embedding.embeddings
    before = keras.ops.convert_to_numpy(table).copy()
    tiny_unimodal.smooth_locations(model.backbone, tokenizer)
    after = keras.ops.convert_to_numpy(table)
    ids = list(tokenizer.location_token_ids)
    others = np.setdiff1d(np.arange(len(before)), ids)
    np.testing.assert_array_equal(after[others], before[others])
    steps = np.linalg.norm(np.diff(after[ids], axis=0), axis=1)
    assert 0 < steps.max() < 0.2 * np.linalg.norm(after[ids], axis=1).min()
    size = after[ids].std() / before[others].std()
    assert size == pytest.approx(1.0, rel=0.1)
