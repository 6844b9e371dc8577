"""What serves a question on real weights, measured on the served GGUF through llama.cpp, greedily.

The same code measures every row of `benchmarks/learning_real.py`.

*efficacy*, *rephrasings*: marks, and wordings never trained, answered as marked to the letter; *...
said*: answered so in substance (the mark's `key` is in the reply). *near*, *unrelated*: questions
whose answer a person would find unchanged. As in `trainer/gate/answer_changes.py`, a change
counts where the base preferred its own token by more than a factor of two and, in a reply that it
had not ended within 48 tokens, where it would hardly draw the new one; what says a mark's words
always counts. *... strict*: no token has changed. *... carried*: how many of those answers say what
a mark says. *kl*: mean KL(base ‖ served) a token over the whole vocabulary, in nats, on the base's
own answers to the unrelated. *talk*, *talk said*: marked questions that come up late in a talk of
twenty turns, which the model itself has spoken so far. *cpu*, *seconds*, *mb*: what training took,
of the processor, of the wall, and of memory at most.

Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.llama.sampling import Sampling
from agent.prompt.prompt import compose, reply_tokens
from benchmarks.real_marks import LONGEST_MARKED, RealMark, long_talk
from memory.difference import Message
from trainer.evaluate.metrics import UNDECIDED, same
from trainer.gate.answer_changes import DRAWN

if TYPE_CHECKING:
    from agent.llama.engine import Engine

LONGEST = 48
"""Tokens of a reply that must stay."""
LONGER = 24
"""Tokens by which a reply to a marked question may exceed the expected one."""
TURN = 64
"""Tokens of a reply in the talk."""

Block = Callable[[str], str]
"""A user's message → the recalled text that is placed before it ("" for none)."""


def no_recall(message: str) -> str:
    """Recall nothing."""
    del message
    return ""


def everything(message: str) -> bool:
    """Leave no message to the base."""
    del message
    return True


@dataclass(frozen=True, slots=True)
class Served:
    """What answers: the base, with an adapter (a GGUF LoRA), with recall, or with both.

    `in_scope` says which messages the adapter answers; the base answers the others.
    """

    adapter: Path | None = None
    scale: float = 1.0
    block: Block = no_recall
    in_scope: Callable[[str], bool] = everything

    def wear(self, engine: Engine, text: str) -> Path | None:
        """Put on the engine what answers `text`, and return it; None is the base."""
        wanted = self.adapter if self.in_scope(text) else None
        now = engine.adapter[0] if engine.adapter else None
        if wanted != now:
            engine.set_adapter(wanted, self.scale)
        return wanted


@dataclass(frozen=True, slots=True)
class Said:
    """A base's own greedy reply: its tokens, with the end of turn if it ended, and its text."""

    tokens: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Missed:
    """One answer that was not as it should be; `carried` if it says what a mark says.

    `counts` unless it is a change that a person would not notice.
    """

    what: str
    asked: str
    expected: str
    said: str
    counts: bool = True
    carried: bool = False


@dataclass(slots=True)
class Findings:
    """What was found so far: truth values by column, and every answer that was not as it should be."""

    flags: dict[str, list[bool]] = field(default_factory=dict)
    missed: list[Missed] = field(default_factory=list)
    divergence: float = 0.0
    tokens: int = 0

    def note(self, column: str, flag: bool) -> None:
        """Add one truth value to a column."""
        self.flags.setdefault(column, []).append(flag)

    def columns(self) -> dict[str, Any]:
        """Return shares by column, counts of what is carried, and the divergence."""
        found: dict[str, Any] = {
            name: sum(flags) if name.endswith("carried") else round(sum(flags) / len(flags), 4)
            for name, flags in self.flags.items()
        }
        if self.tokens:
            found["kl"] = round(self.divergence / self.tokens, 5)
        return found


def base_reply(engine: Engine, text: str, longest: int = LONGEST) -> Said:
    """Return the greedy reply of the engine, which must wear no adapter, in a fresh thread."""
    prompt = compose(engine, [Message("user", text)], room=longest).tokens
    made = engine.generate(prompt, Sampling(max_tokens=longest)).run()
    closed = (engine.end_of_turn,) if made.reason == "end" else ()
    return Said((*made.tokens, *closed), made.text.strip())


def marked_reply(engine: Engine, text: str) -> str:
    """Return what the base says to a question that is to be marked."""
    return base_reply(engine, text, LONGEST_MARKED).text


@dataclass(slots=True)
class Measuring:
    """One row being measured: `served` on `engine` after `marks`, and what was found so far.

    `base` gives the base's reply to a question. The engine wears no adapter between the calls.
    """

    engine: Engine
    marks: Sequence[RealMark]
    served: Served
    base: Callable[[str], Said]
    found: Findings = field(default_factory=Findings)

    def learnt(self) -> None:
        """Ask the marked questions and their other wordings."""
        with self._worn():
            for mark in self.marks:
                self._right("efficacy", mark, [mark.asked])
                self._right("rephrasings", mark, mark.again)

    def stayed(self, unrelated: Sequence[str]) -> None:
        """Ask the near misses and the unrelated prompts."""
        with self._worn():
            for mark in self.marks:
                for text in mark.near:
                    self._kept("near", text)
            for text in unrelated:
                self._kept("unrelated", text)

    def talk(self) -> list[str]:
        """Speak the long talk, note what is said to marked questions, and return the replies."""
        engine, found = self.engine, self.found
        said: list[Message] = []
        taught = {mark.asked for mark in self.marks}
        with self._worn():
            for turn in long_talk():
                text = turn if isinstance(turn, str) else turn.asked
                said.append(Message("user", text))
                self.served.wear(engine, text)
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
    def _worn(self) -> Iterator[None]:
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
            self.served.wear(engine, text)
            prompt = _prompt(engine, text, self.served.block(text), room)
            agreed = _agreed(engine, prompt, expected)
            if agreed == len(expected):
                reply, right = mark.sounds, True
            else:
                reply, ended = _go_on(engine, prompt, expected[:agreed], room)
                right = ended and same(reply, mark.sounds)
            found.note(column, right)
            found.note(f"{column} said", mark.said_in(reply))
            found.note(f"{column} {mark.theme}", right)
            if not right:
                found.missed.append(Missed(column, text, mark.sounds, reply))

    def _kept(self, column: str, text: str) -> None:
        """Note whether the answer to `text` is the base's; the adapter is off for a moment."""
        engine, found, base = self.engine, self.found, self.base(text)
        block = self.served.block(text)
        alone = self.served.wear(engine, text) is None and not block
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
        # Both were evaluated in one pass, so that no noise of another batch shape parts them.
        chosen, its = ours.argmax(axis=1), theirs.argmax(axis=1)
        parted = np.flatnonzero(chosen != its)
        noticed = carried = False
        if len(parted):
            place = int(parted[0])
            row = theirs[place]
            noticed = bool(row[its[place]] - row[chosen[place]] > UNDECIDED)
            self.served.wear(engine, text)
            reply, _ended = _go_on(engine, prompt, base.tokens[:place], LONGEST)
            engine.set_adapter(None)
            if noticed and not engine.ends_turn(base.tokens[-1]):
                noticed = not _would_say(engine, plain, reply)
            carried = any(mark.carried_by(reply, base.text) for mark in self.marks)
            noticed = noticed or carried
            found.missed.append(Missed(column, text, base.text, reply, noticed, carried))
        found.note(column, not noticed)
        found.note(f"{column} strict", not len(parted))
        found.note(f"{column} carried", carried)


def _prompt(engine: Engine, text: str, block: str, room: int) -> tuple[int, ...]:
    return compose(engine, [Message("user", text)], block=block, room=room).tokens


def _rows(
    engine: Engine, prompt: Sequence[int], reply: Sequence[int]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return ln p at each token of a reply, shape [len(reply), vocabulary]."""
    return np.stack(list(engine.log_probabilities([*prompt, *reply], len(prompt))))


def _would_say(engine: Engine, prompt: Sequence[int], reply: str) -> bool:
    """Whether the engine would draw every token of a reply, none below a tenth of the likeliest."""
    tokens = engine.tokenize(reply)
    rows = engine.log_probabilities([*prompt, *tokens], len(prompt))
    return all(
        float(row.max() - row[token]) <= DRAWN for row, token in zip(rows, tokens, strict=True)
    )


def _agreed(engine: Engine, prompt: Sequence[int], reply: Sequence[int]) -> int:
    """Return how many of the reply's tokens the model would have chosen, from the first on."""
    rows = engine.log_probabilities([*prompt, *reply], len(prompt))
    return _prefix([int(row.argmax()) for row in rows], reply)


def _prefix(chosen: Sequence[int], wanted: Sequence[int]) -> int:
    pairs = zip(chosen, wanted, strict=True)
    return next((place for place, (ours, its) in enumerate(pairs) if ours != its), len(wanted))


def _go_on(
    engine: Engine, prompt: Sequence[int], said: Sequence[int], longest: int
) -> tuple[str, bool]:
    """Return the whole reply that begins with `said`, and whether it ended."""
    room = Sampling(max_tokens=max(1, longest - len(said)))
    made = engine.generate([*prompt, *said], room).run()
    return (engine.text(said) + made.text).strip(), made.reason == "end"
