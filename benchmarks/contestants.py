"""The contestants of `benchmarks/learning.py`. Each makes an adapter from the same marks.

    python -m benchmarks.contestants JOB     run the nights of a job file; `nights` starts this as a
                                             child process, so that its memory can be measured

Every contestant gets one thread, the same LoRA shape and the same marks. Its seconds include everything
from the start of its process to the adapter as a GGUF: imports, loading, and for `ours` also the base's
answers and the gate. TRL's SFT trains on pairs of a question and the expected reply, its DPO also on
the marked reply.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.child_process import environment
from agent.models.served_model import STARTER
from benchmarks.one_thread import quiet_settings
from benchmarks.recalling import write_differences
from benchmarks.starter_marks import asker, marks

if TYPE_CHECKING:
    from memory.difference import Difference
    from memory.settings.paths import Home
    from memory.settings.settings import Settings
    from trainer.report.report import Report

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter as a GGUF (None for the base alone), and the cost of making it."""

    adapter: Path | None
    scale: float = 1.0
    seconds: float = 0.0
    cpu: float = 0.0
    """Processor seconds, which do not depend on other load of the machine."""
    peak_mb: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def cost(self) -> dict[str, Any]:
        """The cost as columns of a result."""
        return {"seconds": self.seconds, "cpu": self.cpu, "peak_mb": self.peak_mb}


@dataclass(frozen=True, slots=True)
class Trl:
    """How TRL is run: the interpreter that has it, the base as a GGUF, and the number of threads."""

    python: Path
    base: Path = STARTER
    threads: int = 1


def trl(
    method: str,
    taught: Sequence[Difference],
    settings: dict[str, Any],
    where: Trl,
    folder: Path,
    seed: int,
) -> Trained:
    """Train with TRL's `method` ("sft" or "dpo") in a child process of its interpreter.

    Raises:
        RuntimeError: the child failed; its log is in `folder`.
    """
    from memory.settings.paths import Home
    from trainer.adapters.lora_to_gguf import write_gguf_lora

    folder.mkdir(parents=True, exist_ok=True)
    training = quiet_settings(Home.at(folder)).training
    job = {
        "base": str(where.base),
        "output": str(folder / "adapter"),
        "method": method,
        "seed": seed,
        "threads": where.threads,
        "lora": {"rank": training.rank, "alpha": training.alpha, "targets": training.targets},
        "settings": settings,
        "rows": [
            {
                "prompt": item.asked,
                "chosen": item.contrast.sounds or item.replied,
                "rejected": item.replied if item.contrast.sounds else "",
            }
            for item in taught
        ],
    }
    (folder / "job.json").write_text(json.dumps(job, ensure_ascii=False), "utf-8")
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        done = subprocess.run(
            [
                str(where.python),
                str(ROOT / "benchmarks" / "trl_child.py"),
                str(folder / "job.json"),
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(where.threads),
            check=False,
        )
    lines = done.stdout.decode().strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"TRL ended with {done.returncode}; see {folder / 'log'}")
    facts = json.loads(lines[-1])
    adapter = write_gguf_lora(folder / "adapter", folder / "adapter.gguf", base=where.base)
    seconds = round(time.perf_counter() - began, 1)
    return Trained(
        adapter, 1.0, seconds, facts["cpu"], facts["peak_mb"], {"steps": facts["steps"]} | settings
    )


def nights(counts: Sequence[int], seed: int, folder: Path) -> list[Trained]:
    """Run a night for each count of marks, one after the other in the same home.

    Raises:
        RuntimeError: the child process failed; its log is in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job, out = folder / "nights.json", folder / "trained.jsonl"
    out.unlink(missing_ok=True)
    job.write_text(json.dumps({"counts": counts, "seed": seed, "folder": str(folder)}), "utf-8")
    with (folder / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.contestants", str(job)],
            stdout=log,
            stderr=log,
            env=_environment(),
            check=False,
            cwd=ROOT,
        )
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if done.returncode or len(rows) != len(counts):
        raise RuntimeError(f"the night ended with {done.returncode}; see {folder / 'log'}")
    return [
        Trained(
            Path(row["adapter"]) if row["adapter"] else None,
            row["scale"],
            row["seconds"],
            row["cpu"],
            row["peak_mb"],
            row["facts"],
        )
        for row in rows
    ]


def _environment(threads: int = 1) -> dict[str, str]:
    found = environment() | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    del found["DISCERN_PARENT"]
    return found


def _night(home: Home, settings: Settings, counts: Sequence[int], seed: int, out: Path) -> None:
    from agent.adapters import read_adapter
    from agent.llama.engine import Engine
    from trainer.night.night import run_night
    from trainer.night.request import RunRequest

    with Engine.open(STARTER) as engine:
        drawn = marks(max(counts), seed, asker(engine))
    for count in counts:
        write_differences(home, [mark.difference for mark in drawn[:count]])
        began, used = time.perf_counter(), resources_used()[0]
        report = run_night(RunRequest(home, settings, STARTER, force=True))
        seconds = round(time.perf_counter() - began, 1)
        cpu, memory = resources_used()
        if report.adapter:
            adapter: Path | None = read_adapter(home.adapters, report.adapter).gguf
        else:  # the rejected adapter is measured too, with its verdict
            adapter = _rejected(report)
        row = {
            "adapter": str(adapter) if adapter else None,
            "scale": report.scale,
            "seconds": seconds,
            "cpu": round(cpu - used, 1),
            "peak_mb": memory,
            "facts": {
                "verdict": report.verdict,
                "sentence": report.sentence,
                "learning_rate": report.learning_rate,
                "phases": dict(report.phases),
                "teaching": len(report.fates),
                "measures": {item.name: round(item.value, 4) for item in report.measures},
            },
        }
        with out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")


def resources_used() -> tuple[float, int]:
    """Return the processor seconds so far, and the peak MB of this process plus its largest child."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in both), sum(u.ru_maxrss for u in both) // 1024


def _rejected(report: Report) -> Path | None:
    """Return the adapter of the best trial of a night that the gate rejected."""
    number = next((one.number for one in report.attempts if one.chosen), 1)
    found = sorted((Path(report.run) / f"try-{number}").rglob("*.gguf"))
    return found[-1] if found else None


def main(path: Path) -> None:
    """Run the nights of a job file."""
    from memory.settings.paths import Home

    job = json.loads(path.read_text("utf-8"))
    folder = Path(job["folder"])
    home = Home.at(folder / "home")
    _night(home, quiet_settings(home), job["counts"], job["seed"], folder / "trained.jsonl")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
