"""Run nights on real weights, each series in its own process and home.

    python -m benchmarks.real_night JOB

JOB is a JSON file that `nights` writes. The rows of `benchmarks/learning_real.py` measure the published
adapter of a night or, if the gate rejected it, the adapter of its best trial.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.child_process import environment
from benchmarks.contestants import resources_used
from benchmarks.real_marks import RealMark, model_path, real_marks
from benchmarks.recalling import BlockFunction, write_differences
from memory.difference import Difference
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from trainer.report.report import Report

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Job:
    """Nights on growing marks in the home `folder`/home; `overrides` is as in `read_settings`.

    `counts` are the numbers of marks, `replies` the base's reply to each question.
    """

    folder: str
    counts: Sequence[int]
    replies: Mapping[str, str]
    dev: bool = False
    overrides: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Night:
    """The result of a night and its cost: wall and processor seconds, and peak MB.

    `holds` are the ids of the differences that the adapter holds. `mb` is that of the largest
    process, the training.
    """

    marks: int
    adapter: str | None
    scale: float
    verdict: str
    sentence: str
    seconds: float
    cpu: float
    mb: int
    phases: Mapping[str, float]
    measures: Mapping[str, float]
    attempts: Sequence[Mapping[str, Any]]
    holds: Sequence[str]
    changes: Sequence[Sequence[Any]]
    floor: float = 0.0
    """The floor of the scope of the marks that the adapter answers; 0 for all messages."""
    in_scope: Sequence[str] = ()
    """The marked questions of that scope, and those that are in it only as they were asked."""
    as_asked: Sequence[str] = ()
    estimated: float = 0.0
    """Seconds that the night said it would take, before it asked the base."""

    @property
    def published(self) -> bool:
        """Whether the adapter was published."""
        return self.verdict == "published"


def nights(job: Job) -> list[Night]:
    """Run the nights of a job in a child process.

    Raises:
        RuntimeError: the process failed; its log is in the job's folder.
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.json"
    path.write_text(json.dumps(asdict(job), ensure_ascii=False), "utf-8")
    (folder / "nights.jsonl").unlink(missing_ok=True)
    with (folder / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.real_night", str(path)],
            stdout=log,
            stderr=log,
            env=environment() | {"PYTHONPATH": str(ROOT), "DISCERN_NICE": "0"},
            check=False,
            cwd=ROOT,
        )
    found = read_nights(folder)
    if done.returncode or len(found) != len(job.counts):
        raise RuntimeError(f"the night ended with {done.returncode}; see {folder / 'log'}")
    return found


def read_nights(folder: Path) -> list[Night]:
    """Return the finished nights of the job in `folder`."""
    path = folder / "nights.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [Night(**json.loads(line)) for line in lines]


@contextmanager
def recall_block(
    engine: Engine, home: Home, settings: Settings, holds: Sequence[str] = ()
) -> Iterator[BlockFunction]:
    """Yield a function that recalls for a message like a chat whose adapter holds the ids `holds`."""
    from agent.chat.recall_context import Recaller
    from memory.recall.learned_differences import Learned, digest

    with Journal(home.journal) as journal:
        held = [item for item in journal.differences.all() if item.id in holds]
        learned = Learned(
            {item.id: item.fingerprint for item in held},
            questions=frozenset(digest(item.asked) for item in held),
        )
        with Recaller.from_journal(journal, settings, engine) as recaller:
            yield lambda message: recaller.recall(message, learned)[0]


def context_block(engine: Engine, taught: Mapping[str, Difference]) -> BlockFunction:
    """Return a function that recalls the one mark that a text belongs to; "" if there is none."""
    from memory.recall.hybrid_search import Recalled, render

    def block(message: str) -> str:
        if (difference := taught.get(message)) is None:
            return ""
        one = [Recalled(difference, 1.0, ())]
        return render(
            one, budget=600, count=lambda text: len(engine.tokenize(text)), nonce=b"mark"
        )[0]

    return block


def texts_of(marks: Sequence[RealMark], made: Sequence[Difference]) -> dict[str, Difference]:
    """Return every text of each mark (its question, wordings, near misses) → its difference."""
    return {
        text: item
        for mark, item in zip(marks, made, strict=True)
        for text in (mark.asked, *mark.again, *mark.near)
    }


def _run(job: Job, write: Callable[[Night], None]) -> None:
    from trainer.night.night import run_night
    from trainer.night.request import RunRequest

    home = Home.at(Path(job.folder) / "home").prepare()
    settings = read_settings(home, {name: dict(v) for name, v in (job.overrides or {}).items()})
    for count in job.counts:
        chosen = real_marks(count, dev=job.dev)
        write_differences(home, [mark.marked(job.replies[mark.asked]) for mark in chosen])
        began, before = time.perf_counter(), resources_used()[0]
        report = run_night(RunRequest(home, settings, model_path(), force=True))
        took = round(time.perf_counter() - began, 1), round(resources_used()[0] - before, 1)
        write(_night(home, count, report, took))


def _night(home: Home, count: int, report: Report, took: tuple[float, float]) -> Night:
    from agent.adapters import read_adapter

    adapter: Path | None = None
    holds = [fate.difference for fate in report.fates if fate.good]
    floor, in_scope, as_asked = 0.0, list[str](), list[str]()
    if report.adapter:
        published = read_adapter(home.adapters, report.adapter)
        adapter, holds = published.gguf, list(published.manifest.holds)
        floor = published.manifest.floor
        with Journal(home.journal) as journal:
            in_scope = journal.differences.questions(published.manifest.differences)
            as_asked = journal.differences.questions(published.manifest.as_asked)
    else:
        for attempt in report.attempts:
            if attempt.chosen:
                tried = Path(report.run) / f"try-{attempt.number}"
                adapter = next(iter(sorted(tried.rglob("*.gguf"))), None)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Night(
        marks=count,
        adapter=str(adapter) if adapter else None,
        scale=report.scale,
        verdict=report.verdict,
        sentence=str(report.sentence),
        seconds=took[0],
        cpu=took[1],
        mb=max(largest, own) // 1024,
        phases=dict(report.phases),
        measures={item.name: round(item.value, 4) for item in report.measures},
        attempts=[
            {
                "rate": a.rate,
                "steps": a.steps,
                "reason": a.reason,
                "passed": a.passed,
                "sentence": str(a.sentence),
                "chosen": a.chosen,
            }
            for a in report.attempts
        ],
        holds=holds,
        changes=[
            [c.asked, c.before, c.after, c.near, c.undecided, c.spread] for c in report.changes
        ],
        floor=floor,
        in_scope=in_scope,
        as_asked=as_asked,
        estimated=round(sum(seconds for _stage, seconds in report.estimated), 1),
    )


def main(path: Path) -> None:
    """Run the nights of a job file."""
    os.environ.setdefault("DISCERN_NICE", "0")
    job = Job(**json.loads(path.read_text("utf-8")))
    out = Path(job.folder) / "nights.jsonl"

    def write(night: Night) -> None:
        with out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(night), ensure_ascii=False) + "\n")

    _run(job, write)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
