"""The training step elsewhere: one file is sent, and the returned adapter is checked."""

from __future__ import annotations

import importlib.util
import os
import pickle
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import find_adapter, list_adapters, read_pointer, verify
from memory.errors import AdapterError, CutOffError, ModelError, SettingsError, TrainingError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.faults.untrusted.test_bad_adapters import Canary
from tests.support.gguf_files import write_tiny
from tests.support.processes import ROOT
from tests.support.values import difference, quick_settings
from trainer.event_json import read_message
from trainer.events import Event, ResultPiece, Step, Unknown
from trainer.fit.job import Job, Recipe, Sample, read_job, write_job
from trainer.launch.check_trained_files import WEIGHTS
from trainer.launch.launch import launcher
from trainer.launch.remote_job import Pieces, pack, unpack
from trainer.launch.worker_client import TrainingWorker
from trainer.night.night import run_night
from trainer.night.request import RunRequest

PYTHON = shlex.quote(sys.executable)
RECIPE = Recipe(
    rank=4, alpha=8.0, targets=("q_proj",), learning_rate=1e-3, max_steps=2, preference_weight=0.2,
    preference_beta=0.1, anchor_weight=1.0, hidden_weight=1.0,
    frozen_layers=0.0, max_seconds=60, seed=1, threads=1,
)  # fmt: skip
SHA = "a" * 64


@pytest.fixture
def folder(tmp_path: Path, tiny: Path) -> Path:
    """A job's folder inside a run's folder."""
    made = tmp_path / "run" / "try-1"
    made.mkdir(parents=True)
    samples = (Sample((1, 2, 3, 4, 5), prompt=2, lesson=0, difference="d"),)
    write_job(made, Job(tiny, made / "adapter", RECIPE, samples))
    return made


def there(place: Path, base: Path) -> str:
    """Return a command that trains in another folder, in a process with no access to this one."""
    place.mkdir()
    inside = f"{PYTHON} -m trainer.launch.remote_job job.zip out --base {shlex.quote(str(base))}"
    return (
        f"cp {{job}} {place}/job.zip && cd {place} && "
        f"env -u DISCERN_HOME PYTHONPATH={ROOT} {inside} && cp -r out {{result}}"
    )


def fit(command: str, folder: Path, base: Path, cancel: threading.Event | None = None) -> list[Any]:
    home = Home.locate()
    chosen = quick_settings(home, trainer={"launcher": "command", "command": command})
    with launcher(chosen, base, SHA, folder.parent, cancel or threading.Event()) as elsewhere:
        return list(elsewhere.fit(folder))


def test_a_job_is_one_file_without_local_paths(folder: Path, tmp_path: Path, tiny: Path) -> None:
    from agent.adapters import sha256_file

    packed = pack(folder, sha256_file(tiny), tmp_path / "job.zip")
    with zipfile.ZipFile(packed) as file:
        said = file.read("job.json").decode() + file.read("base.json").decode()
    assert str(tmp_path) not in said
    assert str(tiny.parent) not in said
    laid = tmp_path / "laid"
    laid.mkdir()
    base = shutil.copyfile(tiny, tmp_path / "the same.gguf")
    unpack(packed, laid, base)
    job = read_job(laid)
    assert job.samples[0].tokens == (1, 2, 3, 4, 5)
    assert (job.base, job.output, job.recipe) == (base, laid / "adapter", RECIPE)
    other = write_tiny(tmp_path / "other.gguf", seed=9)
    with pytest.raises(ModelError, match=r"is not tiny\.gguf"):
        unpack(packed, laid, other)
    with pytest.raises(ModelError, match="set its path with --base"):
        unpack(packed, laid, tmp_path / "none.gguf")
    packed.write_bytes(packed.read_bytes()[:100])
    with pytest.raises(TrainingError, match="cannot read the job"):
        unpack(packed, laid, base)
    for path in (tmp_path / "missing.zip", tmp_path):
        with pytest.raises(TrainingError, match="cannot read the job") as refused:
            unpack(path, laid, base)
        said = str(refused.value)
        assert said.count(str(path)) == said.count("cannot read") == said.count("; ") == 1


@pytest.mark.slow
def test_a_night_trained_by_a_command_equals_a_local_one(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz."))
    base = shutil.copyfile(tiny, tmp_path / "elsewhere.gguf")
    away = {"launcher": "command", "command": there(tmp_path / "there", base)}
    events: list[Event] = []
    report = run_night(
        RunRequest(home, quick_settings(home, trainer=away), tiny), on_event=events.append
    )
    assert report.verdict == "published"
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    elsewhere = find_adapter(home.adapters, report.adapter or "")
    verify(elsewhere)
    here = run_night(RunRequest(home, quick_settings(home), tiny, force=True))
    local = find_adapter(home.adapters, here.adapter or "")
    assert (local.folder / WEIGHTS).read_bytes() == (elsewhere.folder / WEIGHTS).read_bytes()


def test_another_base_at_the_remote_path_is_refused_before_training(
    folder: Path, tmp_path: Path, tiny: Path
) -> None:
    with pytest.raises(TrainingError, match="which the lessons were made for"):
        fit(there(tmp_path / "there", tiny), folder, tiny)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("mkdir {result}", "adapter_model.safetensors is missing"),
        ("ln -s /etc {result}", "did not create the folder"),
        ("mkdir {result} && ln -s /etc/passwd {result}/adapter_model.safetensors", "link"),
        ("mkdir {result} && echo x > {result}/adapter_model.safetensors "
         "&& echo '{}' > {result}/adapter_config.json", "damaged"),
        ("mkdir {result} && echo x > {result}/setup.py", "unexpected file"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_an_adapter_is_refused(
    folder: Path, tiny: Path, made: str, words: str
) -> None:
    with pytest.raises(AdapterError, match=words):
        fit(f": {{job}}; {made}", folder, tiny)
    assert not (folder / "adapter").exists()


def test_a_returned_pickle_is_never_opened(folder: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.bin").write_bytes(pickle.dumps(Canary(tmp_path / "dead")))
    bring = f": {{job}}; mkdir {{result}} && cp {tmp_path}/bad.bin {{result}}/adapter_model.bin"
    with pytest.raises(AdapterError, match=r"adapter_model\.bin"):
        fit(bring, folder, tiny)
    assert not (tmp_path / "dead").exists()


def test_a_failing_command_is_reported_with_its_log(folder: Path, tiny: Path) -> None:
    with pytest.raises(TrainingError, match=r"exit code 3; see .*training\.log"):
        fit("echo no route >&2; exit 3 # {job} {result}", folder, tiny)
    assert "no route" in (folder.parent / "training.log").read_text()
    with pytest.raises(CutOffError, match="signal 9"):
        fit("kill -9 $$ # {job} {result}", folder, tiny)
    with pytest.raises(TrainingError, match="ran out of memory"):
        fit('echo \'{"phase": "failed", "kind": "memory"}\' # {job} {result}', folder, tiny)
    for command in ("", "scp {job} there:", "fetch {result}"):
        with pytest.raises(SettingsError, match=r"trainer\.command"):
            fit(command, folder, tiny)


def test_a_cancelled_command_is_stopped_with_its_children(folder: Path, tiny: Path) -> None:
    cancel = threading.Event()
    pid = folder / "pid"

    def cancel_once_it_runs() -> None:
        _until(pid.exists)
        cancel.set()

    timer = threading.Thread(target=cancel_once_it_runs)
    timer.start()
    began = time.monotonic()
    with pytest.raises(TrainingError, match="stopped"):
        fit(
            f"sleep 60 & echo $! > {pid}.new; mv {pid}.new {pid}; wait # {{job}} {{result}}",
            folder,
            tiny,
            cancel,
        )
    timer.join()
    assert time.monotonic() - began < 30
    _until(lambda: not _runs(int(pid.read_text())))


def test_a_command_dies_with_the_process_that_started_it(folder: Path, tiny: Path) -> None:
    pid = folder / "pid"
    script = (
        "import sys, threading; from pathlib import Path;"
        " from tests.trainer.launch.test_launch import fit; "
        "fit(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    command = f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60 # {{job}} {{result}}"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, command, str(folder), str(tiny)], cwd=ROOT
    )
    _until(pid.exists)
    parent.kill()
    parent.wait()
    _until(lambda: not _runs(int(pid.read_text())))


def test_result_pieces_are_assembled_and_bad_ones_refused(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path / "result")
    for start, data in ((0, "aGVs"), (3, "bG8=")):
        pieces.take(ResultPiece("one.txt", start, 5, data))
    assert (tmp_path / "result" / "one.txt").read_bytes() == b"hello"
    damaged: tuple[dict[str, Any], ...] = (
        {"file": "../two.txt", "start": 0, "data": "aGVs"},
        {"file": "one.txt", "start": 99, "data": "aGVs"},
        {"file": "one.txt", "start": 5, "data": "not base64!"},
        {"file": ".hidden", "start": 0, "data": "aGVs"},
        {"start": 0},
    )
    for bad in damaged:
        piece = read_message({"phase": "piece", **bad})
        assert isinstance(piece, ResultPiece)
        with pytest.raises(TrainingError, match="damaged"):
            pieces.take(piece)
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["one.txt"]
    assert not (tmp_path / "two.txt").exists()


def test_without_ray_the_error_says_how_to_install_it(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("ray") is not None:
        pytest.skip("Ray is installed here")
    chosen = quick_settings(home, trainer={"launcher": "ray"})
    with pytest.raises(SettingsError, match=r"discern\[ray\]"):
        launcher(chosen, tiny, SHA, tmp_path, threading.Event())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_night_trains_as_a_local_ray_job(home: Home, tiny: Path, tmp_path: Path) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz."))
    programs = Path(sys.executable).parent
    short = tempfile.mkdtemp(prefix="ray")  # its sockets need a short path
    head = subprocess.Popen(
        [programs / "ray", "start", "--head", "--block", "--num-cpus=1", "--disable-usage-stats",
         "--node-ip-address=127.0.0.1", "--port=26379", "--dashboard-port=28265",
         f"--temp-dir={short}"],
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _until(lambda: _answers(28265))
    try:
        away = {"launcher": "ray", "address": "http://127.0.0.1:28265"}
        events: list[Event] = []
        report = run_night(
            RunRequest(home, quick_settings(home, trainer=away), tiny), on_event=events.append
        )
        assert report.verdict == "published"
        assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
        assert read_pointer(home.adapters).current == report.adapter
        verify(list_adapters(home.adapters)[0])
        other = quick_settings(home, trainer={**away, "base": str(tmp_path / "none.gguf")})
        with pytest.raises(TrainingError, match=r"none\.gguf"):
            run_night(RunRequest(home, other, tiny, force=True))
    finally:
        head.terminate()  # ends everything that it started
        head.wait(60)
        shutil.rmtree(short, ignore_errors=True)


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_remote_events_may_only_be_json(home: Home, folder: Path, tiny: Path) -> None:
    lines = ["welcome to the cluster", "[1, 2]", '"words"', '{"no": "phase"}', '{"phase": "train"}']
    shown = " ".join(shlex.quote(line) for line in lines)
    command = f"printf '%s\\n' {shown} # {{job}} {{result}}"
    chosen = quick_settings(home, trainer={"launcher": "command", "command": command})
    heard = []
    with launcher(chosen, tiny, SHA, folder.parent, threading.Event()) as elsewhere:
        events = elsewhere.fit(folder)
        heard.append(next(events))
        with pytest.raises(AdapterError, match="did not create the folder"):
            next(events)
    assert heard == [Unknown("train", {})]


@pytest.mark.parametrize(("card", "on_the_card"), [("processor", False), ("auto", True)])
def test_a_training_without_free_gpu_memory_does_not_see_the_gpu(
    home: Home,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    card: str,
    on_the_card: bool,
) -> None:
    # A forked child shows the environment of the process that it was forked from.
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT}")
    settings = quick_settings(home, trainer={"card": card})
    with launcher(settings, tiny, SHA, tmp_path, threading.Event()) as here:
        assert isinstance(here, TrainingWorker)
        environ = Path(f"/proc/{here._child.pid}/environ").read_bytes().split(b"\0")
    assert (b"CUDA_VISIBLE_DEVICES=" not in environ) is on_the_card
