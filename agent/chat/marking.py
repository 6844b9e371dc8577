"""Marking a reply: what is typed after `/diff`, which reply is meant, and the receipt."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memory.difference import Difference, Moment, Turn, Untaught, now
from memory.errors import MarkError
from memory.files.disk_reserve import with_reserve
from memory.i18n.translation import tr
from memory.journal.journal import Journal
from memory.journal.repositories.threads import LAST_THREAD
from memory.kinds import find_kind, in_words, nearest_kind
from memory.mark_validation import MarkRequest
from memory.moments import default_moment, find_moment, nearest_moment
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.memory import Memory


@dataclass(frozen=True, slots=True)
class Receipt:
    """A saved mark, and the sentences that confirm it."""

    difference: Difference
    text: str


def last_turn(journal: Journal, thread: str | None = None, turn: str | None = None) -> Turn:
    """Return the turn `turn`, by default the latest of `thread`, which defaults to the last one used.

    `turn` is the start of an id, or "" for a thread without turns.

    Raises:
        MarkError: there is none.
        UnknownIdError: no turn has that id, or several do.
    """
    if turn:
        return journal.turns.get(turn)
    name = thread or journal.facts.get(LAST_THREAD)
    found = journal.branches.current(name, limit=1) if name and turn is None else []
    if not found:
        raise MarkError("there is no reply to mark yet; ask something first")
    return found[0]


def terminal_session() -> str:
    """Return an id of the terminal session of this process, the same for all processes in it.

    A terminal tab, a tmux pane and a browser tab are sessions of their own. The id is stored with each
    turn, so that `discern mark` finds the reply of its own terminal. It is a hash that reveals nothing
    about the machine.
    """
    session = os.getsid(0) if hasattr(os, "getsid") else os.getppid()
    return hashlib.sha256(f"{platform.node()}:{session}".encode()).hexdigest()[:16]


JUST_NOW = 60.0
"""Seconds in which the latest turn of another session could be mistaken for one's own."""


def require_spoken_here(journal: Journal, turn: Turn) -> None:
    """Raise MarkError if `turn`, the latest of all, was just added by another terminal session."""
    place, ours = journal.turns.place_of(turn.id), terminal_session()
    seconds = (now() - turn.at).total_seconds()
    if not place or place == ours or seconds >= JUST_NOW:
        return
    asked, own = _cut(turn.asked), journal.turns.latest_at(ours)
    mine = (
        Sentence("--turn {own} for the last reply of this session", own=own[:8])
        if own
        else Sentence("--turn ID for another reply")
    )
    raise MarkError(
        "the latest reply belongs to another session ({seconds:.0f} s ago): “{asked}”; choose "
        "which reply to mark: --last for that one, or {mine}",
        seconds=max(0, seconds),
        asked=asked,
        mine=mine,
    )


def last_mark(journal: Journal) -> Difference:
    """Return the latest mark, the only one that can be undone without naming it.

    Raises:
        MarkError: there is none, or another session has just made it.
    """
    marks = journal.differences.all()
    if not marks:
        raise MarkError("there is no mark to undo; `discern mark` adds one")
    mark, place = marks[-1], journal.turns.place_of(marks[-1].turn)
    seconds = (now() - mark.at).total_seconds()
    if place and place != terminal_session() and seconds < JUST_NOW:
        raise MarkError(
            "the last mark was made {seconds:.0f} s ago on a reply of another session: “{asked}”; "
            "to undo it, run `discern memory undo {id}`",
            seconds=max(0, seconds),
            asked=_cut(mark.asked),
            id=mark.id[:8],
        )
    return mark


def receipt(
    journal: Journal,
    difference: Difference,
    settings: Settings,
    *,
    typed: bool = True,
    engine: Engine | None = None,
) -> str:
    """Return the sentences that confirm a mark: what it replaced, when it is trained or why not.

    `typed` is true in the chat and false on the command line, where hints name other commands. With
    the `engine` it also says if the better answer is too long for a lesson.
    """
    what = tr(difference.moment)
    if difference.kind:
        what += f" ({in_words(difference.kind)})"
    if difference.version > 1:
        what += ", " + tr("version {number}", number=difference.version)
    said = [
        tr(
            "Saved as {what}, {id}, for “{asked}”.",
            what=what,
            id=difference.id[:8],
            asked=_cut(difference.asked),
        )
    ]
    for older in journal.differences.on_turns([difference.turn]):
        if older.superseded_by == difference.id:
            said.append(
                tr(
                    "It replaces {id}, which marked the same reply as {what}.",
                    id=older.id[:8],
                    what=tr(older.moment),
                )
            )
    untaught = difference.untaught
    if untaught is Untaught.BARE:
        said.append(
            tr(
                "It will be recalled but not trained on; to train on it, add the better answer "
                "({how}).",
                how="/contrast" if typed else f"`discern memory edit {difference.id[:8]} --sounds`",
            )
        )
    elif reason := why_untaught(difference) or _too_long(difference, engine):
        said.append(tr("It will not be trained on: {reason}.", reason=reason))
    elif settings.night.enabled:
        time = settings.night.time
        said.append(tr("It is recalled from now on; training runs tonight at {time}.", time=time))
    else:
        said.append(tr("It is recalled from now on; run /train to train on it."))
    return " ".join(said)


def why_untaught(difference: Difference) -> str:
    """Return why a difference gets no lesson, as a clause without a full stop; "" if it gets one."""
    match difference.untaught:
        case Untaught.SUPERSEDED:
            by = (difference.superseded_by or "")[:8]
            return tr("replaced by {id}", id=by)
        case Untaught.EMPTY:
            return tr("the reply is empty, so there is nothing to keep")
        case Untaught.BARE:
            return tr(
                "it has no better answer (`discern memory edit {id} --sounds` adds one)",
                id=difference.id[:8],
            )
        case None:
            return ""


def _too_long(difference: Difference, engine: Engine | None) -> str:
    """Return why a difference is too long for a lesson; "" if it fits."""
    if engine is None or engine.unloaded:
        return ""
    from agent.prompt.prompt import longest_reply, reply_tokens

    sounds, span = difference.contrast.sounds, difference.span
    wanted = difference.replied if difference.moment is Moment.HOLD or span else sounds
    tokens = len(reply_tokens(engine, wanted or ""))
    most = longest_reply(engine)
    if tokens <= most:
        return ""
    return tr(
        "the answer has {tokens} tokens, and a lesson holds at most {most}",
        tokens=tokens,
        most=most,
    )


def _cut(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def forget(home: Home, memory: Memory, prefix: str) -> Difference:
    """Forget a difference everywhere: journal, index, checkpoints, the files of trainings.

    Raises:
        UnknownIdError: no difference has an id that starts with `prefix`, or several have.
        HomeError: a file cannot be written; call it again to continue.
    """
    from agent.chat.checkpoints import erase_thread
    from agent.forget.residual_copies import sweep
    from agent.forget.scrub_run_files import erase_from_runs

    difference = memory.journal.differences.get(prefix)
    others = [
        item
        for item in memory.journal.differences.on_turns([difference.turn])
        if item != difference
    ]
    if not others:  # otherwise their turn stays
        # First, because only the difference tells which thread this is.
        erase_thread(home.checkpoints, difference.thread)
    erase_from_runs(home, memory.history(difference.id))
    sweep(home, memory.journal)
    return with_reserve(home.journal, lambda: memory.forget(difference.id))


_LINES = re.compile(r"(?:^|\s)(missed|lost):\s*", re.IGNORECASE)
_ARROWS = ("->", "-->", "==>", "→", "⇒", "=")


def parse_mark(text: str) -> MarkRequest:
    """Parse `[error|surprise|hold] [kind] [note] [missed: …] [lost: …] [=> how it should sound]`.

    Return the keyword arguments of `Marks.add`. A kind is a family (`tactical`), `family/type`, or a
    type without further words. A missing moment is chosen by `memory.moments.default_moment`. Text in
    quotes is always a note.

    Raises:
        MarkError: a word looks like a mistyped moment or kind, or another arrow is used for `=>`.
    """
    before, arrow, after = text.partition("=>")
    rest = before.strip()
    first, _, remaining = rest.partition(" ")
    moment = find_moment(first)
    if moment is not None:
        rest = remaining.strip()
    elif near := nearest_moment(first):
        raise MarkError(
            "{first!r} is not a moment; did you mean {near}? To start a note with this word, put "
            "the note in quotes",
            first=first,
            near=near,
        )
    first, _, remaining = rest.partition(" ")
    kind = find_kind(first) if first else None
    if kind is not None and (not remaining or not kind.type or "/" in first):
        rest = remaining.strip()
    else:
        kind = None
        if near := nearest_kind(first, alone=not remaining):
            raise MarkError(
                "there is no kind of difference named {first!r}; did you mean {near}? To start a "
                "note with this word, put the note in quotes",
                first=first,
                near=near,
            )
    words = rest.split()
    typed = next(iter(words[1:2] if words and find_kind(words[0]) else words), "")
    if not arrow and typed in _ARROWS:
        raise MarkError("use => before the better answer, not {typed}", typed=typed)
    note, *labelled = _LINES.split(rest)
    note = note.strip()
    if len(note) > 1 and note[0] == note[-1] == '"':
        note = note[1:-1].strip()
    lines = dict(zip((name.lower() for name in labelled[::2]), labelled[1::2], strict=True))
    sounds = (after.removeprefix(" ") if after.strip() else "") if arrow else None
    of_kind = kind.moment if kind else None
    return MarkRequest(
        moment or default_moment(sounds=sounds, note=note, of_kind=of_kind),
        kind=kind.name if kind else None,
        note=note or None,
        missed=lines.get("missed"),
        lost=lines.get("lost"),
        sounds=sounds,
    )
