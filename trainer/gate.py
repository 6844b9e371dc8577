"""The tests an adapter must pass, on the very GGUF and adapter that will serve.

    python -m trainer.gate ADAPTER BASE     load both and say one word: the probe's child process

A malformed adapter can crash llama.cpp, so it is first loaded in a child (`probe`). Then everything is
asked greedily: the lessons, held-out rephrasings, near-misses and held-out anchors the training never
saw. When all was learnt and only something else moved, the adapter's scale is lowered by bisection and
the largest one that passes is taken. Nothing is written.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory.errors import AdapterError
from trainer.children import die_with_parent, environment
from trainer.report import Change, Measure

if TYPE_CHECKING:
    from agent.engine import Engine, Generation
    from memory.home import GateSettings
    from trainer.anchors import Anchor
    from trainer.lessons import Curriculum, Lesson

PROBE_SECONDS = 300
SCALE_STEPS = 3
LOWEST_SCALE = 0.3
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found at one scale.

    `after` is the reply to each lesson's question, `reproduced` whether it is the expected one, and
    `rephrased` the share of its held-out rephrasings answered likewise.
    """

    passed: bool
    scale: float
    measures: tuple[Measure, ...]
    after: tuple[str, ...]
    reproduced: tuple[bool, ...]
    rephrased: tuple[float, ...]
    changes: tuple[Change, ...]

    @property
    def sentence(self) -> str:
        """What was decided and why, in one sentence."""
        if self.passed:
            return "the adapter learnt what it should and left the rest as it was"
        return "; ".join(measure.sentence for measure in self.measures if not measure.passed)

    @property
    def only_drifts(self) -> bool:
        """Whether everything was learnt and only something else moved."""
        failed = [measure for measure in self.measures if not measure.passed]
        return bool(failed) and all(measure.drift for measure in failed)


Progress = Callable[[int, int], None]


def probe(adapter: Path, base: Path) -> None:
    """Load the adapter onto its base in a child process and generate a token.

    Raises:
        AdapterError: it is refused, crashes the child, gives numbers that are none, or hangs.
    """
    command = [sys.executable, "-m", "trainer.gate", str(adapter), str(base)]
    try:
        done = subprocess.run(
            command,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise AdapterError(
            f"the adapter {adapter} did not load within {PROBE_SECONDS} seconds; train again"
        ) from error
    if done.returncode == 0 and done.stdout.strip() == "sound":
        return
    if done.returncode < 0:
        raise AdapterError(
            f"the adapter {adapter} crashes llama.cpp (signal {-done.returncode}); train again"
        )
    reason = (done.stdout.strip() or done.stderr.strip() or "no reason given").splitlines()[-1]
    raise AdapterError(f"the adapter {adapter} was refused when it was tried: {reason}")


def judge(
    engine: Engine,
    adapter: Path,
    curriculum: Curriculum,
    gate: GateSettings,
    progress: Progress = lambda done, total: None,
) -> Verdict:
    """Measure `adapter` and return the verdict; lower its scale when only the drift fails.

    The engine wears no adapter when this returns.
    """
    try:
        verdict = measure(engine, adapter, 1.0, curriculum, gate, progress)
        if not verdict.only_drifts:
            return verdict
        best, low, high = verdict, LOWEST_SCALE, 1.0
        for _ in range(SCALE_STEPS):
            middle = math.sqrt(low * high)
            tried = measure(engine, adapter, round(middle, 3), curriculum, gate, progress)
            if tried.passed:
                best = tried
            if tried.passed or not tried.only_drifts:
                low = middle  # either a larger one may pass too, or this one has unlearnt
            else:
                high = middle
        return best
    finally:
        engine.set_adapter(None)


def measure(
    engine: Engine,
    adapter: Path,
    scale: float,
    curriculum: Curriculum,
    gate: GateSettings,
    progress: Progress = lambda done, total: None,
) -> Verdict:
    """Ask everything once with the adapter at `scale`."""
    engine.set_adapter(adapter, scale)
    lessons = curriculum.lessons
    held = [*curriculum.near_misses, *curriculum.anchors]
    total = len(lessons) + len(held) + sum(len(lesson.held_out) for lesson in lessons)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    after: list[str] = []
    reproduced: list[bool] = []
    rephrased: list[float] = []
    sane = asked = 0
    for lesson in lessons:
        text, ended = _ask(engine, lesson.question.prompt, len(lesson.chosen) + 16)
        after.append(text)
        reproduced.append(ended and same(text, lesson.expected))
        asked, sane = asked + 1, sane + (ended and bool(text))
        step()
        rephrased.append(_rephrased(engine, lesson, step))
    moved: list[list[Change]] = []
    for group in (curriculum.near_misses, curriculum.anchors):
        changes: list[Change] = []
        for anchor in group:
            made = _generate(engine, anchor.prompt, len(anchor.reply))
            text = made.text.strip()
            if text != anchor.text and not _was_open(anchor, made, engine.end_of_turn):
                changes.append(Change(anchor.asked, anchor.text, text))
            asked, sane = asked + 1, sane + (bool(text) or not anchor.text)
            step()
        moved.append(changes)
    kl, perplexity = _drift(engine, curriculum.anchors)
    share_rephrased = _mean(
        [value for x, value in zip(lessons, rephrased, strict=True) if x.held_out]
    )
    near, anchors = (
        1 - len(changes) / len(group) if group else 1.0
        for changes, group in zip(moved, (curriculum.near_misses, curriculum.anchors), strict=True)
    )
    learnt = sum(reproduced) / max(1, len(lessons))
    sound = sane / max(1, asked)
    measures = (
        Measure("lessons", learnt, gate.lessons, learnt >= gate.lessons,
                f"lessons reproduced: {learnt:.0%} (at least {gate.lessons:.0%})"),
        Measure("rephrasings", share_rephrased, gate.rephrasings, share_rephrased >= gate.rephrasings,
                f"held-out rephrasings: {share_rephrased:.0%} (at least {gate.rephrasings:.0%})"),
        Measure("near_misses", near, gate.near_misses, near >= gate.near_misses,
                f"look-alike questions unchanged: {near:.0%} (at least {gate.near_misses:.0%})", True),
        Measure("anchors", anchors, gate.anchors, anchors >= gate.anchors,
                f"unrelated answers unchanged: {anchors:.0%} (at least {gate.anchors:.0%})", True),
        Measure("kl", kl, gate.kl, kl <= gate.kl,
                f"distance from the base: {kl:.4f} nats a token (at most {gate.kl:g})", True),
        Measure("perplexity", perplexity, gate.perplexity, perplexity <= gate.perplexity,
                f"perplexity on unrelated chat: {perplexity:+.1%} (at most {gate.perplexity:+.0%})",
                True),
        Measure("sane", sound, gate.anchors, sound >= gate.anchors,
                f"replies that are not empty and end: {sound:.0%} (at least {gate.anchors:.0%})",
                True),
    )  # fmt: skip
    return Verdict(
        passed=all(item.passed for item in measures),
        scale=scale,
        measures=measures,
        after=tuple(after),
        reproduced=tuple(reproduced),
        rephrased=tuple(rephrased),
        changes=(*moved[1], *moved[0]),
    )


def same(reply: str, expected: str) -> bool:
    """Whether a reply is the expected one, whitespace around its lines aside."""
    return [line.strip() for line in reply.strip().splitlines()] == [
        line.strip() for line in expected.strip().splitlines()
    ]


def _was_open(anchor: Anchor, made: Generation, end_of_turn: int) -> bool:
    """Whether the reply leaves the base's where the base itself was undecided: the first other token
    had at least half the chance of the one the base took. Numbers and threads flip those too."""
    ours = [*made.tokens, end_of_turn] if made.reason == "end" else made.tokens
    for place, (theirs, token) in enumerate(zip(anchor.reply, ours, strict=False)):
        if token != theirs:
            found = np.flatnonzero(anchor.ids[place] == token)
            taken = np.flatnonzero(anchor.ids[place] == theirs)
            if not len(found) or not len(taken):
                return False
            logs = anchor.logs[place]
            return bool(logs[found[0]] >= logs[taken[0]] - math.log(2))
    return True


def _generate(engine: Engine, prompt: Sequence[int], longest: int) -> Generation:
    from agent.engine import Sampling

    return engine.generate(prompt, Sampling(max_tokens=max(1, longest))).run()


def _ask(engine: Engine, prompt: Sequence[int], longest: int) -> tuple[str, bool]:
    made = _generate(engine, prompt, longest)
    return made.text.strip(), made.reason == "end"


def _rephrased(engine: Engine, lesson: Lesson, step: Callable[[], None]) -> float:
    right: list[float] = []
    for question in lesson.held_out:
        text, ended = _ask(engine, question.prompt, len(lesson.chosen) + 16)
        right.append(float(ended and same(text, lesson.expected)))
        step()
    return _mean(right)


def _drift(engine: Engine, anchors: Sequence[Anchor]) -> tuple[float, float]:
    """Return the mean KL a token from the base, in nats, and the relative rise of perplexity,
    both on the base's own replies."""
    divergences: list[float] = []
    rises: list[float] = []
    for anchor in anchors:
        rows = engine.log_probabilities([*anchor.prompt, *anchor.reply], len(anchor.prompt))
        for place, row in enumerate(rows):
            base, ours = anchor.logs[place], row[anchor.ids[place]]
            tail = max(_TINY, 1 - float(np.exp(base).sum()))
            our_tail = max(_TINY, 1 - float(np.exp(ours).sum()))
            top = float((np.exp(base) * (base - ours)).sum())
            divergences.append(top + tail * math.log(tail / our_tail))
            found = np.flatnonzero(anchor.ids[place] == anchor.reply[place])
            rises.append(float(base[found[0]] - ours[found[0]]) if len(found) else 0.0)
    return max(0.0, _mean(divergences, 0.0)), math.exp(min(50.0, _mean(rises, 0.0))) - 1


def _mean(values: Sequence[float], empty: float = 1.0) -> float:
    return sum(values) / len(values) if values else empty


def _probe_here(adapter: Path, base: Path) -> int:
    """The child's part: say "sound", or the reason why not."""
    from agent.engine import Engine, Sampling
    from memory.errors import DiscernError

    try:
        with Engine.open(base) as engine:
            engine.set_adapter(adapter)
            prompt = engine.tokenize("Is this adapter sound?") or [engine.end_of_turn]
            made = engine.generate(prompt, Sampling(max_tokens=2)).run()
            rows = list(engine.log_probabilities([*prompt, *prompt], len(prompt)))
            if not all(np.isfinite(row).all() for row in rows) or made.reason == "cancelled":
                raise AdapterError("its numbers are not finite")
    except DiscernError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write("sound\n")
    return 0


def measures_to_json(measures: Sequence[Measure]) -> dict[str, float]:
    """Return name → value, for an adapter's manifest."""
    return {measure.name: round(float(measure.value), 5) for measure in measures}


if __name__ == "__main__":
    die_with_parent()
    if len(sys.argv) != 3:
        sys.exit(json.dumps({"usage": "python -m trainer.gate ADAPTER BASE"}))
    sys.exit(_probe_here(Path(sys.argv[1]), Path(sys.argv[2])))
