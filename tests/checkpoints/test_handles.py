import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import keras_hub
import pytest

from keras_paligemma.checkpoints import handles
from keras_paligemma.checkpoints import shipped
from keras_paligemma.checkpoints.handles import published_handles
from keras_paligemma.checkpoints.handles import resolve_handle

ROOT = pathlib.Path(__file__).parents[2]
COMMITS = {"main": "a" * 40, "float16": "b" * 40}
FILES = {
    "config.json": b'{"model_type": "paligemma"}',
    "model.safetensors": b"weights",
    "tokenizer.model": b"pieces",
    "assets/tokenizer/vocabulary.spm": b"pieces",
    "run_me.py": b"raise RuntimeError",
    "pytorch_model.bin": b"pickle",
}


def test_local_paths_stay(tmp_path):
    assert resolve_handle(tmp_path) == str(tmp_path)
    path = tmp_path / "x.npz"
    path.write_bytes(b"")
    assert resolve_handle(str(path)) == str(path)


def test_all_published_handles_are_known():
    presets = published_handles()
    for name, entry in keras_hub.models.PaliGemmaBackbone.presets.items():
        assert presets[name] == entry["kaggle_handle"]
    assert "gemma_2b_en" in presets
    assert any(name.startswith("siglip") for name in presets)


def test_a_preset_goes_to_its_hub(monkeypatch):
    asked = []
    monkeypatch.setattr(
        handles, "_download_from_kaggle", lambda h: asked.append(h) or "/there"
    )
    assert resolve_handle("pali_gemma2_pt_3b_224") == "/there"
    presets = keras_hub.models.PaliGemmaBackbone.presets
    assert asked == [presets["pali_gemma2_pt_3b_224"]["kaggle_handle"]]


def test_a_shipped_preset_lies_in_the_package(tmp_path, monkeypatch):
    folder = tmp_path / "pali_gemma_of_a_test"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (tmp_path / "no_preset").mkdir()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert shipped.shipped_presets() == {folder.name: str(folder)}
    assert resolve_handle(folder.name) == str(folder)
    with pytest.raises(ValueError, match="pali_gemma_of_a_test"):
        resolve_handle("pali_gemma_of_a_tset")


def test_unknown_names():
    with pytest.raises(ValueError, match="hf://owner/name") as error:
        resolve_handle("pali_gema_3b_mix_224")
    text = str(error.value)
    assert "pali_gemma_3b_mix_224" in text
    assert "Received: handle='pali_gema_3b_mix_224'" in text
    for handle in ("", "/no/such/path"):
        with pytest.raises(ValueError, match="Received: handle="):
            resolve_handle(handle)


@pytest.mark.parametrize(
    "handle", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b c"]
)
def test_bad_hugging_face_handles(handle):
    with pytest.raises(ValueError, match="Expected `hf://owner/name`"):
        resolve_handle(handle)


@pytest.mark.parametrize("handle", ["kaggle://", "kaggle://a/b", "kaggle://a"])
def test_bad_kaggle_handles(handle):
    with pytest.raises(ValueError, match="Expected `kaggle://owner/model"):
        resolve_handle(handle)


@pytest.mark.parametrize(
    ("client", "handle"),
    [
        ("huggingface_hub", "hf://google/paligemma"),
        ("kagglehub", "kaggle://keras/paligemma/keras/x/1"),
    ],
)
def test_a_missing_client(monkeypatch, client, handle):
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(ImportError, match=f"pip install {client}"):
        resolve_handle(handle)


class Hub(http.server.BaseHTTPRequestHandler):
    """The few answers of the Hugging Face hub that a download needs."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.append(self.path)
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[3] != "paligemma":
            return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if parts[:2] == ["api", "models"]:
            revision = parts[5] if len(parts) > 5 else "main"
            if revision not in {*COMMITS, *COMMITS.values()}:
                headers = {"X-Error-Code": "RevisionNotFound"}
                return self._answer(404, b"{}", headers)
            commit = COMMITS.get(revision, revision)
            if len(parts) > 4 and parts[4] == "tree":
                files = [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(data),
                        "oid": "0",
                    }
                    for name, data in FILES.items()
                ]
                return self._answer(200, json.dumps(files).encode())
            info = {
                "id": "google/paligemma",
                "sha": commit,
                "siblings": [{"rfilename": name} for name in FILES],
                "private": False,
                "tags": [],
                "downloads": 0,
            }
            return self._answer(200, json.dumps(info).encode())
        name = "/".join(parts[4:])
        if parts[2:3] == ["resolve"] and name in FILES:
            data = FILES[name] + parts[3][:1].encode()
            headers = {"ETag": f'"{parts[3][0]}{len(name)}{name[:3]}"'}
            headers["X-Repo-Commit"] = parts[3]
            return self._answer(200, data, headers)
        return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


# The endpoint and caches are read when the clients are imported.
DOWNLOAD = """
import json, sys
from keras_paligemma.checkpoints.handles import resolve_handle
found = []
for handle in sys.argv[1:]:
    try:
        found.append(["path", resolve_handle(handle)])
    except ValueError as error:
        found.append(["ValueError", str(error)])
print(json.dumps(found))
"""


def test_downloads_with_the_hubs_own_clients(tmp_path, hub):
    kaggle = tmp_path / "kaggle" / "models" / "o" / "m" / "keras" / "v"
    (kaggle / "1").mkdir(parents=True)
    (kaggle / "1.complete").write_text("")
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "KAGGLEHUB_CACHE": str(tmp_path / "kaggle"),
    }
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"):
        environment.pop(name, None)
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            DOWNLOAD,
            "hf://google/paligemma",
            "hf://google/paligemma@float16",
            "hf://google/other",
            "hf://google/paligemma@nothing",
            "kaggle://o/m/keras/v/1",
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    main, revision, other, nothing, kaggle_found = json.loads(
        result.stdout.splitlines()[-1]
    )
    for (kind, path), mark in ((main, b"a"), (revision, b"b")):
        assert kind == "path"
        root = pathlib.Path(path)
        found = {
            str(p.relative_to(root)): p.read_bytes()
            for p in root.rglob("*")
            if p.is_file()
        }
        expected = {
            name: data + mark
            for name, data in FILES.items()
            if not name.endswith((".py", ".bin"))
        }
        assert found == expected
    assert other[0] == nothing[0] == "ValueError"
    assert "Received: handle='hf://google/other'" in other[1]
    assert "Received: handle='hf://google/paligemma@nothing'" in nothing[1]
    assert kaggle_found == ["path", str(kaggle / "1")]
    assert not any(".bin" in path or ".py" in path for path in hub.asked)
