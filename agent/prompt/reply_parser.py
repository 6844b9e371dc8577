"""Split a reply into answer, thought and tool calls while it streams.

Qwen thinks between `<think>` and `</think>` before it answers, and calls a tool with
`<tool_call>{"name": …, "arguments": {…}}</tool_call>`. A tag may arrive in pieces, so text that could
be the start of one is held back. A call that is not JSON is passed on unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

THINK, UNTHINK = "<think>", "</think>"
CALL, UNCALL = "<tool_call>", "</tool_call>"
_THOUGHT = re.compile(r"\A\s*(?:<think>)?.*?</think>\s*", re.DOTALL)
_OPEN_THOUGHT = re.compile(r"\A\s*<think>.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ReplyPart:
    """A piece of a reply: `said`, `thought`, or the whole body of one `call`."""

    kind: Literal["said", "thought", "call"]
    text: str


class ReplyReader:
    """Turns the pieces of a reply into parts. `thinking`: the prompt ends inside a thought.

    Calls are recognised only with `calls`; without it their tag is ordinary text.
    """

    def __init__(self, *, thinking: bool = False, calls: bool = False) -> None:
        self.inside: Literal["said", "thought", "call"] = "thought" if thinking else "said"
        """The kind of part that the next text belongs to, as far as is known."""
        self._calls = calls
        self._held = ""
        self._begun = False  # whether the answer has started; no thought starts after that
        self._fresh = True  # whether a part starts: whitespace around a tag is dropped

    def feed(self, text: str) -> Iterator[ReplyPart]:
        """Add the next piece of text and yield what is certain."""
        self._held += text
        while True:
            if self._fresh:
                self._held = self._held.lstrip()
            tag, at = self._next_tag()
            if tag:
                yield from self._part(self._held[:at].rstrip())
                self._held = self._held[at + len(tag) :]
                self._enter(tag)
                continue
            if self.inside != "call" and at:
                ready, self._held = self._held[:at], self._held[at:]
                yield from self._part(ready)
            return

    def close(self) -> Iterator[ReplyPart]:
        """End the reply and yield what was held back."""
        ready, self._held = self._held, ""
        yield from self._part(ready.rstrip() if self.inside != "said" else ready)

    def _tags(self) -> tuple[str, ...]:
        if self.inside == "call":
            return (UNCALL,)
        if self.inside == "thought":
            return (UNTHINK,)
        return ((CALL,) if self._calls else ()) + (() if self._begun else (THINK,))

    def _next_tag(self) -> tuple[str, int]:
        """Return the first complete tag and its index, or "" and the length of text without one."""
        found = [(self._held.find(tag), tag) for tag in self._tags() if tag in self._held]
        if found:
            at, tag = min(found)
            if tag != THINK or not self._held[:at].strip():
                return tag, at
        held = self._held
        sure = len(held)
        for tag in self._tags():
            for size in range(min(len(tag) - 1, len(held)), 0, -1):
                if held.endswith(tag[:size]):
                    sure = min(sure, len(held) - size)
                    break
        if self._calls or self.inside == "thought":  # whitespace before a tag belongs to the tag
            sure = min(sure, len(held[:sure].rstrip()))
        return "", sure

    def _enter(self, tag: str) -> None:
        self.inside = {THINK: "thought", CALL: "call"}.get(tag, "said")  # type: ignore[assignment]  # literals
        self._fresh = True

    def _part(self, text: str) -> Iterator[ReplyPart]:
        if not text:
            return
        self._fresh = False
        self._begun = self._begun or self.inside == "said"
        yield ReplyPart(self.inside, text)


def without_thought(text: str) -> str:
    """Return a reply without the thought at its start; an unclosed thought is the whole reply."""
    found = _THOUGHT.match(text) if UNTHINK in text else _OPEN_THOUGHT.match(text)
    return text[found.end() :] if found else text
