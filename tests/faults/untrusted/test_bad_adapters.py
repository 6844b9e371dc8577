"""Adapters that are damaged, foreign or hostile are refused before they touch the chat."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from agent.adapters import GGUF, BaseEntry, FileEntry, base_sha256, read_pointer, sha256_file
from agent.chat.chat import Chat
from agent.chat.graph import Finished
from agent.child_process import environment
from agent.llama.engine import Engine
from agent.llama.gguf.adapter_check import inspect
from memory.errors import AdapterError
from memory.files.atomic_write import write_whole
from memory.settings.paths import Home
from tests.support.gguf_files import write_lora, write_tiny
from tests.support.values import quick_settings
from trainer.adapters import publish
from trainer.evaluate.probe import probe
from trainer.launch import check_trained_files

LORA = "blk.0.attn_q.weight.lora_"


def pair(**changes: Any) -> dict[str, np.ndarray]:
    plain = {
        f"{LORA}a": np.full((4, 64), 0.01, np.float16),
        f"{LORA}b": np.full((80, 4), 0.01, np.float16),
    }
    return {**plain, **changes}


def spoilt(value: float) -> np.ndarray:
    data = np.full((4, 64), 0.01, np.float16)
    data[1, 2] = value
    return data


def many() -> dict[str, np.ndarray]:
    small = np.zeros((1, 32), np.float16)
    return {f"blk.{n}.attn_q.weight.lora_{half}": small for n in range(5000) for half in "ab"}


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "not a number": ({"tensors": pair(**{f"{LORA}a": spoilt(np.nan)})}, "not finite"),
    "infinite": ({"tensors": pair(**{f"{LORA}a": spoilt(np.inf)})}, "not finite"),
    "ten thousand tensors": ({"tensors": many()}, "10000 tensors"),
    "a way out": (
        {"tensors": pair(**{"../../x.lora_a": spoilt(0)})},
        "Discern's LoRA files do not have",
    ),
    "no pair": (
        {"tensors": {f"{LORA}a": spoilt(0), "blk.1.attn_q.weight.lora_b": spoilt(0)}},
        "do not match",
    ),
    "other ranks": (
        {"tensors": pair(**{f"{LORA}b": np.zeros((80, 8), np.float16)})},
        "do not match",
    ),
    "no matrix": ({"tensors": pair(**{f"{LORA}a": np.zeros((2, 2, 64), np.float16)})}, "matrix"),
    "numbers of another kind": ({"tensors": pair(**{f"{LORA}a": np.zeros((4, 64))})}, "matrix"),
    "other architecture": ({"architecture": "llama"}, "architecture 'llama'"),
    "alpha of no number": ({"alpha": float("nan")}, "alpha"),
    "alpha of another type": ({"alpha": np.float64(8)}, "alpha"),
    "a model's key": ({"keys": {"tokenizer.ggml.model": "gpt2"}}, "contains the key"),
    "a key llama.cpp aborts on": ({"keys": {"adapter.lora.task_name": 7}}, "contains the key"),
}


@pytest.fixture
def chat(home: Home, tiny: Path) -> Iterator[Chat]:
    """A chat with a valid adapter."""
    chosen = quick_settings(
        home, model={"path": str(tiny)}, memory={"dense": False}, sampling={"max_tokens": 3}
    )
    folder = home.data / "good"
    folder.mkdir()
    write_lora(folder / GGUF)
    (folder / check_trained_files.WEIGHTS).write_bytes(b"weights")
    (folder / check_trained_files.CONFIG).write_text("{}")
    base = BaseEntry(sha256=base_sha256(tiny, home.cache), name=tiny.name)
    publish.publish(home, publish.PublishRequest(folder, base))
    with Chat.open(home, chosen) as chat:
        assert chat.adapter is not None
        yield chat


def install(home: Home, gguf: Path | None = None, **changes: Any) -> str:
    """Add a hostile adapter with correct hashes by hand, and make it current."""
    current = read_pointer(home.adapters).current or ""
    identity = "ab" * 8
    folder = home.adapters / identity
    shutil.copytree(home.adapters / current, folder)
    if gguf is not None:
        shutil.copyfile(gguf, folder / GGUF)
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = FileEntry(sha256=sha256_file(folder / GGUF), size=(folder / GGUF).stat().st_size)
    manifest["files"][GGUF] = entry.model_dump()
    manifest.update(id=identity, **changes)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_whole(home.adapters / "current.json", json.dumps({"current": identity}).encode())
    return identity


def goes_on(chat: Chat, old: str) -> None:
    """Check that the chat rejects the current adapter, reports it once, and continues as before."""
    said = chat.update_adapter()
    assert said is not None
    assert "was not loaded" in str(said)
    assert "cannot" not in str(said)  # not said twice in one sentence
    assert str(said).count(".gguf") <= 1
    assert "\n" not in str(said)
    assert chat.update_adapter() is None
    assert chat.adapter is not None
    assert chat.adapter.id == old
    *_, last = chat.say("Hello")
    assert isinstance(last, Finished)
    assert last.turn.adapter == old


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_adapter_is_refused_by_its_header_or_numbers(tmp_path: Path, name: str) -> None:
    changes, words = MALFORMED[name]
    with pytest.raises(AdapterError, match=words):
        inspect(write_lora(tmp_path / "bad.gguf", **changes), "qwen3")


def test_a_valid_adapter_is_accepted(tmp_path: Path) -> None:
    inspect(write_lora(tmp_path / "good.gguf"), "qwen3")
    inspect(write_lora(tmp_path / "named.gguf", keys={"general.name": "a"}), "qwen3")


def test_a_truncated_file_is_refused(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    whole = write_lora(tmp_path / "whole.gguf").read_bytes()
    part = tmp_path / "part.gguf"
    sizes = [*range(200), *range(200, len(whole) - 40, 97)]
    record_property("faults", len(sizes))
    for size in sizes:
        part.write_bytes(whole[:size])
        with pytest.raises(AdapterError, match="is invalid"):
            inspect(part)


def test_random_bytes_in_the_header_never_crash_the_reader(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("faults", 300)
    whole = write_lora(tmp_path / "whole.gguf").read_bytes()
    random = np.random.default_rng(3)
    part = tmp_path / "part.gguf"
    for _time in range(300):
        data = bytearray(whole)
        for place in random.integers(0, 600, 4):
            data[place] = random.integers(0, 256)
        part.write_bytes(data)
        try:
            inspect(part, "qwen3")
        except AdapterError as error:
            assert "is invalid" in str(error)  # noqa: PT017 - some of the files stay valid


@pytest.mark.parametrize("name", MALFORMED)
def test_the_chat_continues_when_a_malformed_adapter_becomes_current(
    chat: Chat, home: Home, tmp_path: Path, name: str
) -> None:
    assert chat.adapter is not None
    old = chat.adapter.id
    install(home, write_lora(tmp_path / "bad.gguf", **MALFORMED[name][0]))
    goes_on(chat, old)


def test_the_chat_continues_when_the_current_adapter_is_truncated_or_a_bit_flips(
    chat: Chat, home: Home
) -> None:
    assert chat.adapter is not None
    old = chat.adapter.id
    whole = chat.adapter.gguf.read_bytes()
    identity = install(home)
    path = home.adapters / identity / GGUF
    for place in (5, 300, len(whole) // 2, len(whole) - 1):
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        chat._current.refusal = None
        goes_on(chat, old)
    path.write_bytes(whole[: len(whole) // 2])
    chat._current.refusal = None
    goes_on(chat, old)


def test_the_chat_continues_when_the_current_adapter_is_a_link(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    assert chat.adapter is not None
    old = chat.adapter.id
    folder = home.adapters / install(home)
    (folder / GGUF).rename(tmp_path / "elsewhere")
    (folder / GGUF).symlink_to(tmp_path / "elsewhere")
    goes_on(chat, old)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("../../elsewhere", "..", "/etc/passwd"):
        files = {**manifest["files"], name: manifest["files"][GGUF]}
        (folder / "manifest.json").write_text(json.dumps({**manifest, "files": files}))
        chat._current.refusal = None
        goes_on(chat, old)
    for identity in ("../elsewhere", "..", "ab/../cd"):
        (home.adapters / "current.json").write_text(json.dumps({"current": identity}))
        chat._current.refusal = None
        goes_on(chat, old)


def test_the_chat_continues_when_the_current_adapter_is_for_another_base(
    chat: Chat, home: Home
) -> None:
    assert chat.adapter is not None
    old = chat.adapter.id
    install(home, base={"sha256": "0" * 64, "name": "another.gguf"})
    goes_on(chat, old)


def test_an_adapter_that_crashes_llama_cpp_crashes_only_the_probe(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our header check would reject it; the probe's child skips that check here.
    (tmp_path / "sitecustomize.py").write_text(
        "from agent.llama.gguf import adapter_check\nadapter_check.inspect = lambda *_: None\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bad = write_lora(tmp_path / "bad.gguf", alpha=np.float64(8))
    with pytest.raises(AdapterError, match=r"crashes llama\.cpp"):
        probe(bad, tiny)
    assert environment()["PYTHONPATH"].endswith(str(tmp_path))


def test_the_probe_reports_why_it_refuses(tmp_path: Path, tiny: Path) -> None:
    probe(write_lora(tmp_path / "good.gguf"), tiny)
    bad = write_lora(tmp_path / "bad.gguf", **MALFORMED["not a number"][0])
    with pytest.raises(AdapterError, match="not finite") as refused:
        probe(bad, tiny)
    other = write_tiny(tmp_path / "other.gguf", width=96, head=48)
    with pytest.raises(AdapterError, match="failed the load test") as misfit:
        probe(tmp_path / "good.gguf", other)
    for error, path in ((refused, bad), (misfit, tmp_path / "good.gguf")):
        said = str(error.value)
        assert said.count(str(path)) == 1
        assert said.endswith("; train again")
        assert said.count("; ") == 1


def test_an_engine_keeps_its_adapter_when_a_bad_one_is_offered(tmp_path: Path, tiny: Path) -> None:
    good = write_lora(tmp_path / "good.gguf", scale=1.0)
    with Engine.open(tiny) as engine:
        engine.set_adapter(good)
        tokens = engine.tokenize("Hello there")
        before = np.stack(list(engine.log_probabilities(tokens, 1)))
        with pytest.raises(AdapterError):
            engine.set_adapter(write_lora(tmp_path / "bad.gguf", alpha=float("inf")))
        assert np.array_equal(before, np.stack(list(engine.log_probabilities(tokens, 1))))


# --- the result of a training step ---------------------------------------------------------------

NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


def left(folder: Path, tensors: dict[str, np.ndarray] | None = None, **config: Any) -> Path:
    folder.mkdir()
    plain = {
        f"{NAME}A.weight": np.ones((4, 64), np.float32),
        f"{NAME}B.weight": np.ones((80, 4), np.float32),
    }
    save_file(plain if tensors is None else tensors, folder / check_trained_files.WEIGHTS)
    described = {"peft_type": "LORA", "r": 4, "lora_alpha": 8.0, **config}
    (folder / check_trained_files.CONFIG).write_text(json.dumps(described))
    return folder


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_plain_lora_is_accepted(tmp_path: Path) -> None:
    check_trained_files.check(left(tmp_path / "one"))


def test_a_pickle_is_refused_without_being_opened(tmp_path: Path, home: Home) -> None:
    dead = tmp_path / "dead"
    pickled = pickle.dumps(Canary(dead))
    pickle.loads(pickled)
    assert dead.exists()  # loading it runs code
    dead.unlink()
    for number, instead in enumerate((False, True)):
        folder = left(tmp_path / str(number))
        (folder / "adapter_model.bin").write_bytes(pickled)
        if instead:
            (folder / check_trained_files.WEIGHTS).unlink()
        with pytest.raises(AdapterError, match=r"adapter_model\.bin"):
            check_trained_files.check(folder)
        (folder / "adapter_model.bin").rename(
            folder / check_trained_files.WEIGHTS
        )  # under a harmless name
        with pytest.raises(AdapterError, match="damaged"):
            check_trained_files.check(folder)
    assert not dead.exists()


BAD_TENSORS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "a way out": ({"../../etc/x": np.ones((2, 2), np.float32)}, "not half of a LoRA pair"),
    "a way out in disguise": (
        {"base_model.model.model.layers.0.../x.lora_A.weight": np.ones((2, 2), np.float32)},
        "not half",
    ),
    "an embedding": ({"base_model.model.model.embed_tokens.weight": np.ones((2, 2))}, "not half"),
    "ten thousand": (
        {f"{NAME.replace('0', str(n))}A.weight": np.ones((1, 1), np.float32) for n in range(10000)},
        "10000 tensors",
    ),
    "no matrix": ({f"{NAME}A.weight": np.ones(4, np.float32)}, "damaged"),
    "numbers of another kind": ({f"{NAME}A.weight": np.ones((2, 2), np.int64)}, "damaged"),
    "nothing": ({}, "damaged"),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_weights_that_are_not_a_lora_are_refused(tmp_path: Path, name: str) -> None:
    tensors, words = BAD_TENSORS[name]
    with pytest.raises(AdapterError, match=words):
        check_trained_files.check(left(tmp_path / "one", tensors))


def test_a_truncated_linked_or_misdescribed_result_is_refused(tmp_path: Path) -> None:
    folder = left(tmp_path / "one")
    whole = (folder / check_trained_files.WEIGHTS).read_bytes()
    for size in (0, 7, 8, 50, len(whole) - 1):
        (folder / check_trained_files.WEIGHTS).write_bytes(whole[:size])
        with pytest.raises(AdapterError, match="damaged"):
            check_trained_files.check(folder)
    (folder / check_trained_files.WEIGHTS).write_bytes(whole + b"more")
    with pytest.raises(AdapterError, match="damaged"):
        check_trained_files.check(folder)
    (folder / check_trained_files.WEIGHTS).unlink()
    (tmp_path / "secret").write_bytes(whole)
    (folder / check_trained_files.WEIGHTS).symlink_to(tmp_path / "secret")
    with pytest.raises(AdapterError, match="link"):
        check_trained_files.check(folder)
    configs: list[dict[str, Any]] = [
        {"peft_type": "LOHA"},
        {"r": 0},
        {"r": "many"},
        {"lora_alpha": None},
        {"lora_alpha": "nan"},
    ]
    for number, config in enumerate(configs):
        with pytest.raises(AdapterError, match=check_trained_files.CONFIG):
            check_trained_files.check(left(tmp_path / f"config{number}", **config))
    with pytest.raises(AdapterError, match="did not create the folder"):
        check_trained_files.check(tmp_path / "none")


def test_an_adapter_with_another_scale_in_its_manifest_is_not_used(
    chat: Chat, home: Home, tiny: Path
) -> None:
    assert chat.adapter is not None
    path = chat.adapter.folder / "manifest.json"
    settings = chat.settings
    chat.close()
    path.write_text(json.dumps({**json.loads(path.read_text()), "scale": 4.0}))
    with Chat.open(home, settings) as again:
        assert again.adapter is None
        *_, last = again.say("Hello")
        assert isinstance(last, Finished)
        assert last.turn.adapter is None
