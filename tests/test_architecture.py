"""ARCHITECTURE.md and CONTRIBUTING.md match the code: paths exist, and no package is missing."""

from __future__ import annotations

import re
from itertools import pairwise

import grimp
import pytest

from tests.support.processes import ROOT

PACKAGES = ("memory", "agent", "trainer", "tui")
GUIDE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
LINES = 250


def named(text: str) -> set[str]:
    """Return the paths in a text that begin with a folder of the repository."""
    folders = "|".join((*PACKAGES, "tests", "benchmarks", "docs"))
    return set(re.findall(rf"`((?:{folders})/[\w./-]*)`", text))


def section(package: str) -> str:
    """Return what ARCHITECTURE.md says of a package."""
    return re.split(r"^## ", GUIDE.partition(f"\n## {package}: ")[2], flags=re.MULTILINE)[0]


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_every_path_named_in_the_docs_exists(page: str) -> None:
    paths = named((ROOT / page).read_text("utf-8"))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_named_in_its_section(package: str) -> None:
    here = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / package).rglob("__init__.py")}
    assert here - named(section(package)) == set()


def test_the_architecture_page_stays_within_its_line_limit() -> None:
    assert len(GUIDE.splitlines()) <= LINES


@pytest.mark.parametrize("package", PACKAGES)
def test_every_arrow_of_a_diagram_is_an_import(package: str) -> None:
    diagram = section(package).partition("```mermaid\ngraph TD\n")[2].partition("```")[0]
    chains = [line.strip().split(" --> ") for line in diagram.splitlines()]
    drawn = {pair for chain in chains for pair in pairwise(chain)}
    assert drawn
    graph = grimp.build_graph(package)
    for importer, imported in sorted(drawn):
        assert graph.direct_import_exists(
            importer=f"{package}.{importer.removesuffix('.py')}",
            imported=f"{package}.{imported.removesuffix('.py')}",
            as_packages=True,
        ), f"{importer} --> {imported}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_diagram_shows_every_sub_package(package: str) -> None:
    diagram = section(package).partition("```mermaid\ngraph TD\n")[2].partition("```")[0]
    shown = set(re.findall(r"[\w.]+", diagram.replace("-->", " ")))
    rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert rooms - shown == set()
