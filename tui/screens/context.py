"""The context screen: the prompt for the next message, and the tokens of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import tr, trn
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.terminal.sanitize import clean, padded

if TYPE_CHECKING:
    from agent.chat.context_usage import ContextUsage


class ContextScreen(Modal[None]):
    """Token counts, the prompt and the keys."""

    DEFAULT_CSS = """
    ContextScreen { layout: vertical; background: $background; }
    ContextScreen > Static { height: auto; padding: 1 2 0 2; }
    ContextScreen > VerticalScroll {
        height: 1fr; margin: 1 0 0 0; padding: 0 2; border-top: solid $line;
        scrollbar-size-vertical: 1;
        &:focus { background-tint: transparent; }
    }
    ContextScreen > VerticalScroll > Static { height: auto; color: $muted; }
    ContextScreen > .keys { height: 1; padding: 0 2; color: $muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("context")]

    def __init__(self, usage: ContextUsage) -> None:
        super().__init__()
        self._usage, self._scroll = usage, VerticalScroll()

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield Static(Content("\n".join(lines(self._usage))), markup=False)
        with self._scroll:
            yield Static(Content(clean(self._usage.text)), markup=False)
        back = hints(keyboard_of(self.app), (("back", tr("back")),))
        scroll = tr("{keys} scroll", keys="↑ ↓ PgUp PgDn")
        yield Static(f"{scroll} · {back}", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Scroll to the end, where the next message is."""
        self._scroll.focus()
        self.call_after_refresh(self._scroll.scroll_end, animate=False)

    def action_leave(self) -> None:
        """Go back to the chat."""
        self.dismiss(None)


def lines(usage: ContextUsage) -> list[str]:
    """Return the counts as lines: a part, its tokens, a description."""
    differences = trn("{n} difference", "{n} differences", usage.differences)
    talk = trn("{n} message", "{n} messages", usage.messages)
    if usage.dropped:
        talk += "; " + trn(
            "{n} earlier message no longer fits",
            "{n} earlier messages no longer fit",
            usage.dropped,
        )
    if usage.left_out:
        differences += "; " + tr(
            "no room for {ids} (recall.standing_budget)",
            ids=", ".join(identity[:8] for identity in usage.left_out),
        )
    of = tr("of {size}, including {room} reserved for the reply", size=usage.size, room=usage.room)
    rows = (
        (tr("system"), usage.system, "" if usage.system else tr("none")),
        (tr("conversation"), usage.talk, talk),
        (tr("recalled"), usage.recalled, differences),
        (tr("message"), usage.message, "" if usage.message else tr("nothing typed yet")),
        (tr("template"), usage.template, tr("markup between the parts")),
        (tr("total"), usage.total, of),
    )
    room = max(9, *(cell_len(name) + 1 for name, _, _ in rows))
    return [tr("Prompt for the next message, in tokens"), ""] + [
        f"{padded(name, room)}{tokens:>7}  {what}".rstrip() for name, tokens, what in rows
    ]
