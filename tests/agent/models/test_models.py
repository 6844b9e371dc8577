"""Model files: found, checked for compatibility, and downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import gguf
import pytest

from agent.llama.gguf.architectures import ARCHITECTURES
from agent.llama.gguf.header import read_header
from agent.llama.gguf.shape_reader import read_shape
from agent.models import models
from agent.models.compatibility import Compatibility, check_compatibility
from agent.models.models import advised, find_model, find_models, known_models, recommended, resolve
from agent.models.pull import look, pull
from memory.errors import ModelError, SettingsError
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from memory.settings.settings_file import write_setting
from tests.support.gguf_files import write_tiny
from tests.support.hub import FILE, REPO, Hub
from tui.cli.main import run


def test_a_file_is_looked_up_downloaded_and_checked(home: Home, hub: Hub, tiny: Path) -> None:
    offer = look(home, REPO, FILE)
    assert (offer.size, offer.sha256, offer.licence) == (len(hub.body), hub.sha256, "apache-2.0")
    assert not any(asked.startswith("GET /Some") for asked in hub.asked)
    heard: list[tuple[int, int]] = []
    path = pull(offer, lambda done, total: heard.append((done, total)))
    assert path.read_bytes() == tiny.read_bytes()
    assert path == home.data / "models" / REPO / FILE
    assert heard[-1] == (offer.size, offer.size)
    hub.asked.clear()
    assert pull(look(home, REPO, FILE)) == path
    assert not any(FILE in asked for asked in hub.asked if asked.startswith("GET"))


def test_an_interrupted_download_is_resumed(home: Home, hub: Hub, tiny: Path) -> None:
    hub.cut_at = 1000
    with pytest.raises(ModelError, match="are kept: pull again"):
        pull(look(home, REPO, FILE))
    assert not (home.data / "models" / REPO / FILE).exists()
    hub.cut_at = 0
    hub.asked.clear()
    offer = look(home, REPO, FILE)
    assert offer.have == 1000
    assert pull(offer).read_bytes() == tiny.read_bytes()
    assert any("bytes=1000-" in asked for asked in hub.asked)
    assert not list((home.data / "models").rglob(".*.part"))


def test_a_download_with_another_sha256_is_deleted(home: Home, hub: Hub) -> None:
    hub.sha256 = "0" * 64
    with pytest.raises(ModelError, match="does not match the sha256"):
        pull(look(home, REPO, FILE))
    assert not [path for path in (home.data / "models").rglob("*") if path.is_file()]
    hub.sha256 = None
    with pytest.raises(ModelError, match="does not report"):
        look(home, REPO, FILE)
    with pytest.raises(ModelError, match="has no Some/Tiny-GGUF:other"):
        look(home, REPO, "other.gguf")


def test_an_unreachable_hub_is_reported(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(ModelError, match="cannot download"):
        look(home, REPO, FILE)


def test_the_command_line_pulls_uses_and_removes(
    home: Home, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "pull", f"{REPO}:{FILE}", "--use"]) == 0
    out = capsys.readouterr().out
    assert "apache-2.0" in out
    assert "will be used from the next chat on" not in out.split("Downloaded")[0]
    path = home.data / "models" / REPO / FILE
    assert read_settings(home).model.path == str(path)
    assert run(["model", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert listed["served"]
    assert listed["name"] == f"{REPO}:{FILE}"
    assert listed["whose"] == "discern"
    assert run(["model", "remove", f"{REPO}:{FILE}"]) == 2
    assert "is in use" in capsys.readouterr().err
    assert run(["model", "use", "starter"]) == 0
    assert run(["model", "remove", f"{REPO}:{FILE}"]) == 0
    assert not path.exists()
    assert not path.parent.exists()
    assert run(["model", "pull", "qwen9"]) == 2
    assert "qwen3-0.6b" in capsys.readouterr().err


def test_an_embedding_model_is_configured_for_recall(home: Home, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "embed.gguf", pooling=3)
    assert run(["model", "use", str(path)]) == 0
    assert read_settings(home).memory.embedder == str(path)
    assert read_settings(home).model.path == ""
    assert run(["model", "info", str(path)]) == 1


def test_files_of_other_programs_are_found(home: Home, tiny: Path, tmp_path: Path) -> None:
    user = tmp_path / "user"

    def put(place: str, body: bytes = tiny.read_bytes()) -> Path:
        path = user / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    put(".cache/huggingface/hub/models--Qwen--Q-GGUF/snapshots/abc/q.gguf")
    put(".lmstudio/models/maker/name-GGUF/lm.gguf")
    put(".lmstudio/models/maker/name-GGUF/big-00001-of-00002.gguf")
    put(".lmstudio/models/maker/name-GGUF/big-00002-of-00002.gguf")
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    put(f".ollama/models/blobs/sha256-{digest}")
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
    away = {**layer, "digest": "sha256:../../../etc/passwd"}
    text = json.dumps({"layers": [layer, away]}).encode()
    put(".ollama/models/manifests/registry.ollama.ai/library/qwen3/0.6b", text)
    put(".ollama/models/manifests/registry.ollama.ai/library/broken/x", b"{")
    put("elsewhere/no.gguf", b"text")
    found = find_models(home, {"HOME": str(user)})
    assert {(item.name, item.whose) for item in found} == {
        ("Qwen/Q-GGUF:q.gguf", "hub"),
        ("maker/name-GGUF:lm.gguf", "lmstudio"),
        ("maker/name-GGUF:big-00001-of-00002.gguf", "lmstudio"),
        ("qwen3:0.6b", "ollama"),
    }
    other = find_models(
        home, {"HOME": str(tmp_path), "OLLAMA_MODELS": str(user / ".ollama/models")}
    )
    assert [item.name for item in other] == ["qwen3:0.6b"]
    assert find_model(home, str(tiny)) == tiny
    with pytest.raises(ModelError, match="no file matches"):
        find_model(home, "never-heard-of")
    with pytest.raises(ModelError, match="is not on this machine"):
        find_model(home, "qwen3-8b")


def test_names_and_precisions_are_checked() -> None:
    assert resolve("qwen3-0.6b") == ("Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf")
    assert resolve("Qwen3-4B", "q4_k_m") == ("Qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf")
    assert resolve("a/b:sub/c.gguf") == ("a/b", "sub/c.gguf")
    for wrong in ("a/b:../c.gguf", "a/b:c.txt", "a:c.gguf", "a/b:/etc/c.gguf", "nothing"):
        with pytest.raises(ModelError):
            resolve(wrong)
    with pytest.raises(ModelError, match="not as q2"):
        resolve("qwen3-4b", "q2")
    large = next(item for item in known_models() if item.name == "qwen3-8b")
    assert advised(large, 64 << 30) == "q8_0"
    assert advised(large, 8 << 30) == "q4_k_m" == advised(large, 1 << 30)
    assert len({item.name for item in known_models()}) == len(known_models())
    assert all(re.fullmatch(r"[a-z0-9.-]+", item.name) for item in known_models())
    assert resolve("gemma-3-4b", "q4_k_m")[1] == "gemma-3-4b-it-Q4_K_M.gguf"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_has_its_recommended_sampling_settings(architecture: str) -> None:
    table = tomllib.loads(
        (Path(models.__file__).with_name("models.toml")).read_text(encoding="utf-8")
    )
    assert set(table["sampling"][architecture]) == {"temperature", "top_p", "top_k", "min_p"}


def line(found: Compatibility, what: str) -> str:
    return next(f"{item.state}: {item.text}" for item in found.lines if item.what == what)


def test_a_file_is_checked_for_compatibility(
    tmp_path: Path, tiny: Path, settings: Settings
) -> None:
    found = check_compatibility(tiny, settings, free=8 << 30, gpu=0)
    assert found.serves
    assert found.trains
    header = read_header(tiny)
    reader = gguf.GGUFReader(tiny)
    assert header.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert read_shape(header, tiny).cache_bytes(512) == 512 * 2 * 1 * 80 * 2
    small = check_compatibility(tiny, settings, free=1 << 20, gpu=0)
    assert not small.serves
    assert line(small, "memory").startswith("broken")
    write_tiny(tmp_path / "phony.gguf", architecture="qwen2")
    data = (tmp_path / "phony.gguf").read_bytes().replace(b"qwen2", b"phony")
    (tmp_path / "phony.gguf").write_bytes(data)
    with pytest.raises(ModelError, match="has the architecture 'phony'"):
        check_compatibility(tmp_path / "phony.gguf", settings)
    (tmp_path / "cut.gguf").write_bytes(tiny.read_bytes()[:900])
    with pytest.raises(ModelError, match="damaged or cut off"):
        check_compatibility(tmp_path / "cut.gguf", settings)


def test_user_settings_override_the_file_and_the_file_overrides_the_defaults(
    home: Home, starter: Path, tiny: Path
) -> None:
    from agent.llama.engine import Engine
    from agent.models.served_model import sampling

    assert recommended("qwen3", {}, thinking=True)["temperature"] == 0.6
    assert recommended("qwen3", {"general.sampling.temp": "0.1"}, thinking=False) == {
        "temperature": 0.1, "top_p": 0.8, "top_k": 20.0, "min_p": 0.0,
    }  # fmt: skip
    with Engine.open(tiny) as engine:
        drawn = sampling(read_settings(home), engine)
        assert (drawn.temperature, drawn.top_p, drawn.top_k) == (0.7, 0.8, 20)
        write_setting(home, "sampling", "top_k", 5)
        write_setting(home, "chat", "thinking", True)
        drawn = sampling(read_settings(home), engine)
        assert (drawn.temperature, drawn.top_p, drawn.top_k) == (0.6, 0.95, 5)
    with Engine.open(starter) as engine:
        assert sampling(read_settings(home), engine).temperature == 0


def test_writing_one_setting_keeps_the_rest(home: Home) -> None:
    own = "# mine\n[chat]\nsystem = 'x' # why\n\n[night]\ntime = \"04:00\"  # late\n"
    home.settings_file.write_text(own)
    write_setting(home, "night", "time", "05:00")
    write_setting(home, "chat", "thinking", True)
    write_setting(home, "model", "path", 'a "quoted" \\ path')
    text = home.settings_file.read_text()
    assert text.startswith("# mine\n[chat]\nsystem = 'x' # why\nthinking = true\n")
    assert 'time = "05:00"  # late' in text
    settings = read_settings(home)
    assert settings.model.path == 'a "quoted" \\ path'
    assert settings.chat.system == "x"
    for section, key, value in (("chat", "no", 1), ("night", "time", "25:00")):
        with pytest.raises(SettingsError):
            write_setting(home, section, key, value)
    assert home.settings_file.read_text() == text


OFFLINE = """
import socket, sys
def refuse(self, address, *rest):
    if self.family != getattr(socket, "AF_UNIX", None):
        raise SystemExit(f"the network was asked for: {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
def nowhere(*names, **_rest):
    raise SystemExit(f"a name was looked up: {names}")
socket.getaddrinfo = socket.gethostbyname = nowhere
from tui.cli.main import run
for words in %r:
    code = run(words)
    if code not in (0, 1):
        raise SystemExit(f"{words}: {code}")
"""


def test_only_pull_uses_the_network(home: Home, tiny: Path) -> None:
    verbs = [
        ["model", "list"], ["model", "list", "--known"], ["model", "info"],
        ["model", "use", str(tiny)], ["model", "use", "starter"],
        ["ask", "What is the capital of France?"],
        ["mark", "--moment", "error", "--expected", "Lyon."],
        ["ask", "What is the capital of France?"],
        ["memory", "list"], ["memory", "search", "capital"], ["lessons"], ["doctor"],
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE % verbs],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
