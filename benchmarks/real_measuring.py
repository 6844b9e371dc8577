"""Measure what serves a question on real weights, on the served GGUF in llama.cpp, decoded greedily.

The same code measures every row of `benchmarks/learning_real.py`.

*efficacy*, *rephrasings*: share of marks, and of wordings never trained, that get exactly the marked
reply; *... said*: that get it in substance (the reply contains the mark's `key`). *near*, *unrelated*:
share of questions whose answer a user would find unchanged. As in `trainer/gate/answer_changes.py`, a
change counts if the base preferred its own token by more than a factor of two and, in a reply that it
had not ended within 48 tokens, if it would hardly have sampled the new one; what says a mark's words
always counts. *... strict*: no token has changed. *... carried*: number of those answers that say what
a mark says. *kl*: mean KL(base ‖ served) per token over the whole vocabulary, in nats, on the base's
answers to the unrelated questions. *talk*, *talk said*: marked questions that come up late in a
conversation of twenty turns, whose earlier replies are the model's own. *cpu*, *seconds*, *mb*:
processor seconds, wall seconds and peak memory of the training.

Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose, reply_tokens
from benchmarks.real_marks import LONGEST_MARKED, RealMark, long_talk
from benchmarks.recalling import BlockFunction, no_recall
from memory.difference import Message
from trainer.evaluate.metrics import UNDECIDED, same
from trainer.gate.answer_changes import would_sample

if TYPE_CHECKING:
    from agent.llama.engine import Engine

LONGEST = 48
"""Tokens of a reply that must not change."""
LONGER = 24
"""Tokens by which a reply to a marked question may exceed the expected one."""
TURN = 64
"""Tokens of a reply in the long conversation."""


def everything(message: str) -> bool:
    """Return True: every message is in scope."""
    del message
    return True


@dataclass(frozen=True, slots=True)
class Served:
    """A configuration of the chat: the base, with an adapter (a GGUF LoRA), recall, or both.

    `in_scope` returns whether the adapter answers a message; the base answers the others.
    """

    adapter: Path | None = None
    scale: float = 1.0
    block: BlockFunction = no_recall
    in_scope: Callable[[str], bool] = everything

    def route(self, engine: Engine, text: str) -> Path | None:
        """Set the adapter that answers `text`, and return it; None is the base."""
        wanted = self.adapter if self.in_scope(text) else None
        now = engine.adapter[0] if engine.adapter else None
        if wanted != now:
            engine.set_adapter(wanted, self.scale)
        return wanted


@dataclass(frozen=True, slots=True)
class Said:
    """The base's greedy reply: its tokens, with the end of turn if it ended, and its text."""

    tokens: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Missed:
    """One wrong or changed answer.

    `counts` is false for a change that a user would not notice, `carried` true if the answer says
    what a mark says.
    """

    what: str
    asked: str
    expected: str
    said: str
    counts: bool = True
    carried: bool = False


@dataclass(slots=True)
class Findings:
    """The results so far: truth values by column, and every wrong answer."""

    flags: dict[str, list[bool]] = field(default_factory=dict)
    missed: list[Missed] = field(default_factory=list)
    divergence: float = 0.0
    tokens: int = 0

    def note(self, column: str, flag: bool) -> None:
        """Add one truth value to a column."""
        self.flags.setdefault(column, []).append(flag)

    def columns(self) -> dict[str, Any]:
        """Return the share of true values by column, the number of carried ones, and the divergence."""
        found: dict[str, Any] = {
            name: sum(flags) if name.endswith("carried") else round(sum(flags) / len(flags), 4)
            for name, flags in self.flags.items()
        }
        if self.tokens:
            found["kl"] = round(self.divergence / self.tokens, 5)
        return found


def base_reply(engine: Engine, text: str, longest: int = LONGEST) -> Said:
    """Return the greedy reply in a new thread; the engine must have no adapter."""
    prompt = compose(engine, [Message("user", text)], room=longest).tokens
    made = engine.generate(prompt, Sampling(max_tokens=longest)).run()
    closed = (engine.end_of_turn,) if made.reason == "end" else ()
    return Said((*made.tokens, *closed), made.text.strip())


def marked_reply(engine: Engine, text: str) -> str:
    """Return the base's reply to a question, at the length in which it is marked."""
    return base_reply(engine, text, LONGEST_MARKED).text


@dataclass(slots=True)
class Measuring:
    """The measurement of one row: the configuration `served` on `engine`, taught `marks`.

    `base` returns the base's reply to a question. The engine has no adapter between the calls.
    """

    engine: Engine
    marks: Sequence[RealMark]
    served: Served
    base: Callable[[str], Said]
    found: Findings = field(default_factory=Findings)

    def learnt(self) -> None:
        """Ask the marked questions and their other wordings."""
        with self._removing_adapter():
            for mark in self.marks:
                self._right("efficacy", mark, [mark.asked])
                self._right("rephrasings", mark, mark.again)

    def stayed(self, unrelated: Sequence[str]) -> None:
        """Ask the near misses and the unrelated prompts."""
        with self._removing_adapter():
            for mark in self.marks:
                for text in mark.near:
                    self._kept("near", text)
            for text in unrelated:
                self._kept("unrelated", text)

    def talk(self) -> list[str]:
        """Run the long conversation, note the answers to marked questions, and return all replies."""
        engine, found = self.engine, self.found
        said: list[Message] = []
        taught = {mark.asked for mark in self.marks}
        with self._removing_adapter():
            for turn in long_talk():
                text = turn if isinstance(turn, str) else turn.asked
                said.append(Message("user", text))
                self.served.route(engine, text)
                prompt = compose(engine, said, block=self.served.block(text), room=TURN).tokens
                made = engine.generate(prompt, Sampling(max_tokens=TURN)).run()
                reply = made.text.strip()
                said.append(Message("assistant", reply))
                if isinstance(turn, RealMark) and text in taught:
                    right = made.reason == "end" and same(reply, turn.sounds)
                    found.note("talk", right)
                    found.note("talk said", turn.said_in(reply))
                    if not right:
                        found.missed.append(Missed("talk", text, turn.sounds, reply))
                else:
                    carried = any(mark.said_in(reply) for mark in self.marks)
                    found.note("talk carried", carried)
                    if carried:
                        found.missed.append(Missed("talk carried", text, "", reply, carried=True))
        return [message.content for message in said if message.role == "assistant"]

    @contextmanager
    def _removing_adapter(self) -> Iterator[None]:
        """Remove the adapter at the end of the block."""
        try:
            yield
        finally:
            self.engine.set_adapter(None)

    def _right(self, column: str, mark: RealMark, texts: Iterable[str]) -> None:
        """Note whether each text is answered as marked."""
        engine, found = self.engine, self.found
        expected = reply_tokens(engine, mark.sounds)
        room = len(expected) + LONGER
        for text in texts:
            self.served.route(engine, text)
            prompt = _prompt(engine, text, self.served.block(text), room)
            agreed = _agreed(engine, prompt, expected)
            if agreed == len(expected):
                reply, right = mark.sounds, True
            else:
                reply, ended = _continue(engine, prompt, expected[:agreed], room)
                right = ended and same(reply, mark.sounds)
            found.note(column, right)
            found.note(f"{column} said", mark.said_in(reply))
            found.note(f"{column} {mark.theme}", right)
            if not right:
                found.missed.append(Missed(column, text, mark.sounds, reply))

    def _kept(self, column: str, text: str) -> None:
        """Note whether the answer to `text` is the base's; the adapter is removed meanwhile."""
        engine, found, base = self.engine, self.found, self.base(text)
        block = self.served.block(text)
        alone = self.served.route(engine, text) is None and not block
        if alone and (self.served.adapter or self.served.block is not no_recall):
            found.tokens += len(base.tokens) if column == "unrelated" else 0
            for name, flag in (("", True), (" strict", True), (" carried", False)):
                found.note(f"{column}{name}", flag)
            return  # the base alone answers
        plain = _prompt(engine, text, "", LONGEST)
        prompt = _prompt(engine, text, block, LONGEST) if block else plain
        ours = _rows(engine, prompt, base.tokens)
        engine.set_adapter(None)
        theirs = _rows(engine, plain, base.tokens)
        if column == "unrelated":
            found.divergence += float((np.exp(theirs) * (theirs - ours)).sum())
            found.tokens += len(base.tokens)
        # Both are evaluated in one pass, because another batch shape could change the result.
        chosen, its = ours.argmax(axis=1), theirs.argmax(axis=1)
        differing = np.flatnonzero(chosen != its)
        noticed = carried = False
        if len(differing):
            place = int(differing[0])
            row = theirs[place]
            noticed = bool(row[its[place]] - row[chosen[place]] > UNDECIDED)
            self.served.route(engine, text)
            reply, _ended = _continue(engine, prompt, base.tokens[:place], LONGEST)
            engine.set_adapter(None)
            if noticed and not engine.ends_turn(base.tokens[-1]):
                noticed = not would_sample(engine, plain, reply)
            carried = any(mark.carried_by(reply, base.text) for mark in self.marks)
            noticed = noticed or carried
            found.missed.append(Missed(column, text, base.text, reply, noticed, carried))
        found.note(column, not noticed)
        found.note(f"{column} strict", not len(differing))
        found.note(f"{column} carried", carried)


def _prompt(engine: Engine, text: str, block: str, room: int) -> tuple[int, ...]:
    return compose(engine, [Message("user", text)], block=block, room=room).tokens


def _rows(
    engine: Engine, prompt: Sequence[int], reply: Sequence[int]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return ln p at each token of a reply, shape [len(reply), vocabulary]."""
    return np.stack(list(engine.log_probabilities([*prompt, *reply], len(prompt))))


def _agreed(engine: Engine, prompt: Sequence[int], reply: Sequence[int]) -> int:
    """Return the number of tokens at the start of the reply that the model would have chosen."""
    rows = engine.log_probabilities([*prompt, *reply], len(prompt))
    return _prefix([int(row.argmax()) for row in rows], reply)


def _prefix(chosen: Sequence[int], wanted: Sequence[int]) -> int:
    pairs = zip(chosen, wanted, strict=True)
    return next((place for place, (ours, its) in enumerate(pairs) if ours != its), len(wanted))


def _continue(
    engine: Engine, prompt: Sequence[int], said: Sequence[int], longest: int
) -> tuple[str, bool]:
    """Continue a reply from `said`; return the whole reply and whether it ended."""
    room = Sampling(max_tokens=max(1, longest - len(said)))
    made = engine.generate([*prompt, *said], room).run()
    return (engine.text(said) + made.text).strip(), made.reason == "end"
