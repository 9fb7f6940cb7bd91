"""The command line, called in this process on a tiny preset."""

import ast
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_paligemma import cli
from keras_paligemma.commands import convert
from keras_paligemma.commands import generate
from tests import tiny_preset


@pytest.fixture(scope="module")
def model():
    return tiny_preset.tiny_model()


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("preset") / "tiny"
    model.save_to_preset(str(directory))
    return str(directory)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return tiny_preset.save_images(tmp_path_factory.mktemp("images"))


def generate_arguments(preset, *images):
    words = ["generate", "--preset", preset, "--prompt", tiny_preset.PROMPT]
    for image in images:
        words += ["--image", image]
    return [*words, "--max-length", "12"]


@pytest.mark.parametrize("count", [1, 2])
def test_generate_prints_what_the_model_answers(
    model, preset, images, capsys, count
):
    assert cli.main(generate_arguments(preset, *images[:count])) == 0
    printed = capsys.readouterr().out
    inputs = {
        "images": [images[:count] if count > 1 else images[0]],
        "prompts": [tiny_preset.PROMPT],
    }
    model.compile(sampler="greedy")
    (expected,) = model.generate(inputs, max_length=12, strip_prompt=True)
    assert printed == expected + "\n"


def test_several_images_may_follow_one_flag(preset, images):
    parse = cli.make_parser().parse_args
    repeated = parse(generate_arguments(preset, *images))
    together = parse([*generate_arguments(preset), "--image", *images])
    assert repeated.image == together.image == images


def test_stream_prints_the_same_text(preset, images, capsys):
    arguments = generate_arguments(preset, images[0])
    assert cli.main(arguments) == 0
    expected = capsys.readouterr().out
    assert cli.main([*arguments, "--stream"]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    "words, kind, attributes",
    [
        ("greedy", "GreedySampler", {}),
        ("beam --beams 4", "BeamSampler", {"num_beams": 4}),
        ("top_k --k 7", "TopKSampler", {"k": 7, "seed": 3}),
        ("top_p --p 0.5", "TopPSampler", {"p": 0.5, "seed": 3}),
        ("random", "RandomSampler", {"temperature": 2.0, "seed": 3}),
    ],
)
def test_the_sampler_is_the_one_described(words, kind, attributes):
    arguments = generate_arguments("preset", "image")
    arguments += ["--sampler", *words.split()]
    arguments += ["--temperature", "2", "--seed", "3"]
    sampler = generate.make_sampler(cli.make_parser().parse_args(arguments))
    assert type(sampler).__name__ == kind
    for name, value in attributes.items():
        assert getattr(sampler, name) == value


def test_a_seed_repeats_an_answer_and_another_changes_it(
    preset, images, capsys
):
    arguments = generate_arguments(preset, images[0])
    arguments += ["--sampler", "random", "--temperature", "5"]
    answers = []
    for seed in ("1", "1", "2"):
        assert cli.main([*arguments, "--seed", seed]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("form", convert.FORMATS)
def test_convert_keeps_every_weight(model, preset, tmp_path, capsys, form):
    from keras_paligemma import PaliGemmaCausalLM

    target = tmp_path / form
    assert cli.main(["convert", preset, str(target), "--to", form]) == 0
    converted = PaliGemmaCausalLM.from_preset(str(target))
    for before, after in zip(
        model.backbone.weights, converted.backbone.weights, strict=True
    ):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(before),
            keras.ops.convert_to_numpy(after),
            err_msg=before.path,
        )


def test_convert_resizes_and_casts(preset, tmp_path, capsys):
    target = str(tmp_path / "larger")
    arguments = ["convert", preset, target, "--to", "transformers"]
    arguments += ["--image-size", "56", "--dtype", "bfloat16"]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    assert cli.main(["info", target, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["format"] == "transformers"
    assert facts["dtype"] == "bfloat16"
    assert facts["image tokens"] == 16


@pytest.mark.parametrize("form", convert.FORMATS)
def test_convert_keeps_the_type_of_the_weights(preset, tmp_path, capsys, form):
    half, last = str(tmp_path / "half"), str(tmp_path / "last")
    arguments = ["--to", "transformers", "--dtype", "bfloat16"]
    assert cli.main(["convert", preset, half, *arguments]) == 0
    assert cli.main(["convert", half, last, "--to", form]) == 0
    capsys.readouterr()
    assert cli.main(["info", last, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "bfloat16"


def test_convert_overwrites_nothing(preset, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    arguments = ["convert", preset, str(tmp_path), "--to", "keras"]
    assert cli.main(arguments) == 2
    assert "empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_info_counts_what_the_model_has(model, preset, capsys):
    assert cli.main(["info", preset, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"]["all"] == model.backbone.count_params()
    assert facts["image tokens"] == 4
    assert facts["arguments"]["hidden_dim"] == 16
    assert cli.main(["info", preset]) == 0
    printed = capsys.readouterr().out
    for name, count in facts["parameters"].items():
        assert any(
            line.split() == [name, f"{count:,}"]
            for line in printed.splitlines()
        )


@pytest.mark.parametrize(
    "change, said",
    [
        (["--image", "absent.png"], "absent.png"),
        (["--preset", "/no/such/place"], "/no/such/place"),
        (["--temperature", "0"], "temperature=0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    preset, images, capsys, change, said
):
    assert cli.main([*generate_arguments(preset, images[0]), *change]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("keras-paligemma: ") and error.count("\n") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["generate", "--preset", "x"],
        ["convert", "a", "b", "--to", "pickle"],
        ["generate", "--max-length", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    assert raised.value.code == 2
    assert "usage: keras-paligemma" in capsys.readouterr().err


def test_parsing_imports_only_the_standard_library():
    files = [Path(cli.__file__), *Path(convert.__file__).parent.glob("*.py")]
    for file in files:
        imported = {
            module
            for node in ast.parse(file.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for module in modules(node)
        }
        assert all(
            module.split(".")[0] in sys.stdlib_module_names
            or module.startswith("keras_paligemma.commands")
            for module in imported
        ), f"{file}: {imported}"


def modules(node):
    if isinstance(node, ast.ImportFrom):
        return [node.module]
    return [alias.name for alias in node.names]
