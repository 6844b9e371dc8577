"""The receipt of a mark: what was saved, what it replaced, and whether it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.chat.marking.target_reply import shortened
from memory.difference import Difference, MarkScope, Moment, Untaught
from memory.errors import ModelError
from memory.i18n.interface_language import tr
from memory.journal.journal import Journal
from memory.kinds import in_words
from memory.reply_rules import rules_of
from memory.settings.settings import Settings

if TYPE_CHECKING:
    from agent.chat.recall_context import Recaller
    from agent.llama.engine import Engine


@dataclass(frozen=True, slots=True)
class Receipt:
    """A saved mark, and the sentences that confirm it."""

    difference: Difference
    text: str


def receipt(
    journal: Journal,
    difference: Difference,
    settings: Settings,
    *,
    typed: bool = True,
    engine: Engine | None = None,
    room: bool = True,
) -> str:
    """Return the sentences that confirm a mark: what it replaced, when it is trained or why not.

    `typed` is true in the chat and false on the command line, where hints name other commands. With
    the `engine` it also says if the better answer is too long for a lesson. `room` is whether the
    context has room for it (`has_room`).
    """
    what = tr(difference.moment)
    if difference.kind:
        what += f" ({in_words(difference.kind)})"
    if difference.version > 1:
        what += ", " + tr("version {number}", number=difference.version)
    said = [_saved(difference, what)]
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
    if untaught is Untaught.SCOPE:
        said += _in_the_context(difference, typed=typed, room=room)
    elif untaught is Untaught.BARE:
        said.append(
            tr(
                "It will be recalled but not trained on; to train on it, add the better answer "
                "({how}).",
                how="/contrast" if typed else f"`discern memory edit {difference.id[:8]} --sounds`",
            )
        )
    elif reason := why_untaught(difference) or too_long(difference, engine):
        said.append(tr("It will not be trained on: {reason}.", reason=reason))
    elif settings.night.enabled:
        time = settings.night.time
        said.append(tr("It is recalled from now on; training runs tonight at {time}.", time=time))
    else:
        said.append(tr("It is recalled from now on; run /train to train on it."))
    return " ".join(said)


def has_room(difference: Difference, recaller: Recaller) -> bool:
    """Whether the context has room for a mark about every reply; True while the model is unloaded."""
    with suppress(ModelError):
        return all(item.id != difference.id for item in recaller.standing_left_out())
    return True


def _in_the_context(difference: Difference, *, typed: bool, room: bool) -> Iterator[str]:
    """Yield what is said of a mark that is not trained on."""
    if not room:
        yield tr(
            "The context has no room for it beside the other marks about every reply; shorten it, or "
            "raise recall.standing_budget in config.toml."
        )
        return
    yield tr("It is in the context of these replies from now on; it is not trained on.")
    if rules := "; ".join(map(str, rules_of(difference))):
        how = "/why" if typed else "`discern memory why`"
        yield tr("{how} shows whether a reply kept: {rules}.", how=how, rules=rules)


def _saved(difference: Difference, what: str) -> str:
    """Return what was saved, and which replies it is about."""
    identity, asked = difference.id[:8], shortened(difference.asked)
    match difference.scope:
        case MarkScope.EVERYWHERE:
            return tr("Saved as {what}, {id}, for every reply.", what=what, id=identity)
        case MarkScope.WHEN:
            when = shortened(difference.condition or "")
            return tr(
                "Saved as {what}, {id}. It applies when: {when}.", what=what, id=identity, when=when
            )
        case MarkScope.TOPIC:
            return tr(
                "Saved as {what}, {id}, for “{asked}” and its subject.",
                what=what,
                id=identity,
                asked=asked,
            )
        case MarkScope.HERE:
            return tr("Saved as {what}, {id}, for “{asked}”.", what=what, id=identity, asked=asked)


def why_untaught(difference: Difference) -> str:
    """Return why a difference gets no lesson, as a clause without a full stop; "" if it gets one."""
    match difference.untaught:
        case Untaught.SUPERSEDED:
            by = (difference.superseded_by or "")[:8]
            return tr("replaced by {id}", id=by)
        case Untaught.EMPTY:
            return tr("the reply is empty, so there is nothing to keep")
        case Untaught.SCOPE:
            return tr("it is about more than its question, so it stays in the context instead")
        case Untaught.BARE:
            return tr(
                "it has no better answer (`discern memory edit {id} --sounds` adds one)",
                id=difference.id[:8],
            )
        case None:
            return ""


@contextmanager
def engine_to_count(difference: Difference, settings: Settings) -> Iterator[Engine | None]:
    """Yield the model if it takes one to tell whether an answer fits a lesson; else None.

    A text has at most as many tokens as bytes, so short answers need no model. None also if the model
    cannot be loaded.
    """
    from agent.llama.engine import Engine
    from agent.llama.gguf.header import read_header
    from agent.models.served_model import served_model
    from agent.prompt.prompt import LONGEST_REPLY

    with ExitStack() as stack:
        engine = None
        with suppress(ModelError):
            path = served_model(settings)
            own = int(read_header(path).own("context_length") or 0)
            context = settings.model.context or own
            if len(_answer(difference).encode("utf-8", "replace")) >= min(
                LONGEST_REPLY, context // 2
            ):
                engine = stack.enter_context(Engine.open(path, settings.model))
        yield engine


def _answer(difference: Difference) -> str:
    """Return the answer that a lesson would teach."""
    kept = difference.moment is Moment.HOLD or difference.span
    return (difference.replied if kept else difference.contrast.sounds) or ""


def too_long(difference: Difference, engine: Engine | None) -> str:
    """Return why a difference is too long for a lesson; "" if it fits."""
    if engine is None or engine.unloaded:
        return ""
    from agent.prompt.prompt import longest_reply, reply_tokens

    tokens = len(reply_tokens(engine, _answer(difference)))
    most = longest_reply(engine)
    if tokens <= most:
        return ""
    return tr(
        "the answer has {tokens} tokens, and a lesson holds at most {most}",
        tokens=tokens,
        most=most,
    )
