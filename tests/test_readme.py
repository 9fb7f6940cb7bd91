"""The README: its Python runs as written, its layout is the real one."""

import json
import re
from pathlib import Path

import pytest

from tests import tiny_preset

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def save_unimodal(directory):
    """Writes a tiny SigLIP and a tiny Gemma, as Transformers saves them."""
    import transformers

    encoder = transformers.SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    decoder = transformers.GemmaConfig(
        vocab_size=400,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    transformers.SiglipVisionModel(encoder).save_pretrained(
        directory / "siglip"
    )
    transformers.GemmaForCausalLM(decoder).save_pretrained(directory / "gemma")


@pytest.fixture
def stand_ins(tmp_path):
    """What the README names, and the tiny local folders to take instead."""
    tiny_preset.tiny_model().save_to_preset(str(tmp_path / "preset"))
    tiny_preset.save_images(tmp_path)
    lines = [
        {"image": "cat.png", "prefix": "caption en", "suffix": "A cat."},
        {"image": "coffee.png", "prefix": "caption en", "suffix": "A cup."},
    ]
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    save_unimodal(tmp_path)
    names = {
        "pali_gemma_3b_mix_224": tmp_path / "preset",
        "hf://google/siglip-so400m-patch14-224": tmp_path / "siglip",
        "hf://google/gemma-2b": tmp_path / "gemma",
    }
    return {
        **{f'"{name}"': repr(str(path)) for name, path in names.items()},
        # The tiny model's size, in what makes one for 224 pixels.
        "224), batch_size=2)": "224), batch_size=2, image_size=28)",
    }


def test_the_python_runs_in_order(stand_ins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(README)
    namespace = {}
    for number, block in enumerate(blocks, start=1):
        for written, instead in stand_ins.items():
            block = block.replace(written, instead)
        exec(compile(block, f"README.md, block {number}", "exec"), namespace)
    assert isinstance(namespace["answer"], str)
    assert len(namespace["answers"]) == 2
    assert len(namespace["log_probabilities"][0]) > 0
    assert namespace["totals"].shape == (2,)
    losses = namespace["history"].history["loss"]
    assert losses[-1] < losses[0]
    assert (tmp_path / "my_captions" / "config.json").is_file()
    assert (tmp_path / "runs/captions/model/config.json").is_file()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 40
    assert (tmp_path / "cats.lora.h5").is_file()
    assert namespace["found"].problems[0].kind == "cut_off"
    assert namespace["batch"]["prompts"] == ["caption en"] * 2
    assert namespace["backbone"].vocabulary_size == 400 + 1024 + 128


def test_every_stand_in_is_in_the_readme(stand_ins):
    code = "\n".join(python_blocks(README))
    assert all(written in code for written in stand_ins)


def test_the_layout_is_the_real_one():
    (tree,) = re.findall(
        r"^```\n(keras_paligemma/\n.*?)^```$", README, re.M | re.S
    )
    listed = set(re.findall(r"^  (\S+)", tree, re.M))
    package = ROOT / "keras_paligemma"
    real = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    real |= {
        path.name for path in package.glob("*.py") if path.name != "__init__.py"
    }
    assert listed == real


def test_its_files_and_commands_exist():
    for name in re.findall(r"\b(?:examples|tests)/[\w/]+\.py\b", README):
        assert (ROOT / name).is_file(), name
    for module in re.findall(r"python -m (tests[\w.]*)", README):
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
