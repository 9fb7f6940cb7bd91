"""Who may import whom, and what importing the package costs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "keras_paligemma"

# Every folder of the package, and what it may import. The top level
# (`__init__.py`, `plots.py`, `vision_tasks.py`) may import all of them but
# `commands`, which only `cli` may import; nothing may import `cli`, and no
# folder but `commands` may import from the top level.
MAY_IMPORT = {
    "layers": set(),
    "checkpoints": set(),
    "preprocessing": {"checkpoints"},
    "models": {"layers", "checkpoints", "preprocessing"},
    "tasks": set(),
    "data": {"tasks"},
    "evaluation": {"data", "tasks"},
    "training": {
        "layers",
        "checkpoints",
        "preprocessing",
        "tasks",
        "data",
        "evaluation",
    },
}
MAY_IMPORT["commands"] = {*MAY_IMPORT, "plots", "vision_tasks"}
PRIVATE = ("keras.src", "keras_hub.src")


def imported_modules(source, package):
    """Yields the full dotted name of everything that `source` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -node.level + 1 or None]
            prefix = parents if node.level else []
            module = ".".join([*prefix, *filter(None, [node.module])])
            for alias in node.names:
                yield f"{module}.{alias.name}"


def faults(source, path):
    """Names each import in `source`, a file of the package, that is amiss."""
    folder = path.parts[0] if len(path.parts) > 1 else None
    package = ".".join(["keras_paligemma", *path.parent.parts])
    for module in imported_modules(source, package):
        parts = module.split(".")
        if module.startswith(PRIVATE):
            yield f"{path}: {module} is private"
        if parts[0] != "keras_paligemma" or len(parts) < 2:
            continue
        if folder:
            allowed = MAY_IMPORT[folder] | {folder}
        elif path.name == "cli.py":
            allowed = {*MAY_IMPORT, "plots"}
        else:
            allowed = set(MAY_IMPORT) - {"commands"}
            if path.name == "__init__.py":
                allowed.add("vision_tasks")
        if parts[1] not in allowed and parts[1] != "__version__":
            yield f"{path}: {module} points up"


def test_the_package_holds_its_layering():
    files = sorted(PACKAGE.rglob("*.py"))
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(MAY_IMPORT)
    found = [
        fault
        for file in files
        for fault in faults(file.read_text(), file.relative_to(PACKAGE))
    ]
    assert files and not found, "\n".join(found)


@pytest.mark.parametrize(
    "path, source",
    [
        ("layers/masks.py", "from keras_paligemma.models import backbone"),
        ("checkpoints/table.py", "from ..layers import masks"),
        ("checkpoints/table.py", "from .. import layers"),
        ("preprocessing/packer.py", "from keras_paligemma import models"),
        ("models/backbone.py", "import keras_paligemma.cli"),
        ("models/backbone.py", "from keras_paligemma import PaliGemmaBackbone"),
        ("training/stages.py", "from keras_paligemma.models import presets"),
        ("layers/norm.py", "from keras.src import backend"),
        ("layers/norm.py", "import keras_hub.src.models"),
        ("__init__.py", "from keras_paligemma.cli import main"),
        ("__init__.py", "from keras_paligemma.commands import info"),
        ("plots.py", "from keras_paligemma.commands import info"),
        ("plots.py", "from keras_paligemma import cli"),
        ("training/stages.py", "from keras_paligemma.commands import info"),
        ("training/stages.py", "from keras_paligemma import plots"),
        ("commands/info.py", "from keras_paligemma import cli"),
    ],
)
def test_a_forbidden_import_is_found(path, source):
    assert list(faults(source, Path(path)))


@pytest.mark.parametrize(
    "path, source",
    [
        ("layers/block.py", "from keras_paligemma.layers.norm import RMSNorm"),
        ("layers/block.py", "from .norm import RMSNorm"),
        ("models/backbone.py", "from keras_paligemma.layers import masks"),
        ("models/backbone.py", "from keras import ops"),
        ("cli.py", "from keras_paligemma.commands import info"),
        ("commands/plot.py", "from keras_paligemma import plots"),
        ("commands/info.py", "from keras_paligemma.checkpoints import table"),
        ("plots.py", "from keras_paligemma.training import schedule_curves"),
        ("__init__.py", "from keras_paligemma.models import presets"),
    ],
)
def test_an_allowed_import_passes(path, source):
    assert not list(faults(source, Path(path)))


IMPORT_PROBE = """
import json, os, resource, sys, time
import keras_hub
before = set(sys.modules)
begin = time.perf_counter()
import keras_paligemma
seconds = time.perf_counter() - begin
heavy = ["jax", "tensorflow", "torch", "transformers", "grain", "matplotlib"]
if "torch" in sys.modules:
    assert not sys.modules["torch"].cuda.is_initialized()
if "tensorflow" in sys.modules:
    # Raises once TensorFlow has set its devices up.
    sys.modules["tensorflow"].config.threading.set_inter_op_parallelism_threads(2)
added = [name for name in heavy if name in sys.modules and name not in before]
print(json.dumps({"added": added, "seconds": seconds}))
"""


def test_import_is_light_and_touches_no_device(record_property):
    # JAX fails when it first looks for its devices: there is no such platform.
    environment = dict(os.environ, JAX_PLATFORMS="absent")
    completed = subprocess.run(
        [sys.executable, "-c", IMPORT_PROBE],
        env=environment,
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    measured = json.loads(completed.stdout.splitlines()[-1])
    assert measured["added"] == []
    record_property("seconds_beyond_keras_hub", measured["seconds"])
    print(f"import costs {measured['seconds']:.3f} s beyond keras_hub's")
