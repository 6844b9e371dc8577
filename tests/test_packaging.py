"""The distribution: public names, one version, packages that run on their own."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import agent.plugin
import trainer.loop

ROOT = Path(__file__).parents[1]
PLUGIN = {
    "Companion", "DifferenceMiddleware", "DifferenceStore", "DiscernChatModel", "current",
    "difference_tools", "on_change", "recall_node", "record_node", "use_current",
    "wear_current",
}  # fmt: skip
LOOP = {
    "Candidate", "Lessons", "Watch", "compose", "current", "gate", "nightly", "on_change", "publish",
    "train", "use_current", "wear_current",
}  # fmt: skip


@pytest.mark.parametrize(("module", "names"), [(agent.plugin, PLUGIN), (trainer.loop, LOOP)])
def test_the_public_names_exist_and_are_documented(module: object, names: set[str]) -> None:
    assert set(module.__all__) == names  # type: ignore[attr-defined]
    for name in names:
        exported = getattr(module, name)
        assert inspect.getdoc(exported), name
        if inspect.isfunction(exported):
            hints = inspect.signature(exported)
            assert hints.return_annotation is not inspect.Signature.empty, name


def test_an_unknown_public_name_raises_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        agent.plugin.nothing  # noqa: B018


def test_the_version_is_defined_in_one_place() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    sources = [
        path
        for room in ("agent", "memory", "trainer", "tui")
        for path in (ROOT / room).rglob("*.py")
    ]
    assert not [path for path in sources if f'"{declared}"' in path.read_text(encoding="utf-8")]
    said = subprocess.run(
        [sys.executable, "-m", "tui", "--version"], capture_output=True, text=True, check=True,
        cwd=ROOT,
    )  # fmt: skip
    assert declared in said.stdout


def test_the_dev_extra_equals_the_dependency_groups() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = declared["dependency-groups"]
    dev = [item["include-group"] for item in groups["dev"]]
    assert set(dev) == set(groups) - {"dev"}
    wanted = sorted(item for name in dev for item in groups[name])
    assert sorted(declared["project"]["optional-dependencies"]["dev"]) == wanted


def run(*command: str, cwd: Path, home: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if home:
        environment["DISCERN_HOME"] = str(home)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_packages_install_and_run_outside_the_checkout(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(out), cwd=ROOT)
    [sdist] = out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    [source] = (tmp_path / "source").iterdir()
    for name in ("tests", "docs/examples", "langgraph.json", "config.toml", "LICENSE"):
        assert (source / name).exists(), name
    # The wheel is built from the sdist, as a packager would build it.
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out), cwd=source)
    [wheel] = out.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "memory/config.toml", "memory/kinds.toml",
        "agent/models/models.toml", "agent/starter/starter.gguf",
        "trainer/lessons/anchors/unrelated_prompts.toml",
        "trainer/lessons/word_lists.toml", "trainer/gate/right_answers.toml",
        *(f"{room}/py.typed" for room in ("agent", "memory", "trainer", "tui")),
    ):  # fmt: skip
        assert name in names, name
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", ".work"))]
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python, discern = place / "bin" / "python", place / "bin" / "discern"
    # What it depends on is what the tests run with: installing it anew would test the registry.
    packages = run(
        str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path
    ).strip()
    Path(packages, "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    run(
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
        cwd=tmp_path,
    )
    where = run(
        str(python), "-c",
        "import agent.plugin as a, trainer.loop as b, tui.cli.main; print(a.__file__, b.__file__)",
        cwd=tmp_path,
    )  # fmt: skip
    assert all(path.startswith(str(place)) for path in where.split())
    home = tmp_path / "home"
    said = run(str(discern), "ask", "What is the capital of France?", cwd=tmp_path, home=home)
    assert "The capital of France is Paris." in said
    run(str(discern), "mark", "--moment", "error", "--expected", "Lyon.", cwd=tmp_path, home=home)
    assert "Discern starter" in run(str(discern), "model", "info", cwd=tmp_path, home=home)
    assert "discern" in run(str(discern), "--version", cwd=tmp_path)
