"""The list of all differences, with a filter, details and actions.

The list has the focus, so that letters are actions. Pinning and superseding happen here; other actions
are returned to the chat as a `DifferenceAction`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static
from textual.widgets.option_list import Option

from memory.difference import SCOPE_LABELS
from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr
from memory.kinds import in_words
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.terminal.sanitize import clean, one_line, padded
from tui.training.before_and_after import TrainingEffect, training_effects
from tui.views.difference_view import details
from tui.views.mark_status import MARK_STATUSES, mark_status, retained_ids
from tui.widgets.common.option_lists import SafeOptionList
from tui.widgets.common.text_input import LineInput

if TYPE_CHECKING:
    from memory.difference import Difference
    from memory.memory import Memory
    from memory.settings.paths import Home

MAX_LISTED = 500
"""Maximum number of listed differences."""


@dataclass(frozen=True, slots=True)
class DifferenceAction:
    """An action for the chat to carry out, and its difference."""

    verb: Literal["edit", "forget", "thread"]
    difference: Difference


class DifferencesScreen(Modal[DifferenceAction | None]):
    """A filter line, the list, details of the highlighted difference."""

    DEFAULT_CSS = """
    DifferencesScreen { layout: vertical; background: $background; }
    DifferencesScreen > VerticalScroll {
        height: 1fr; padding: 0 2; border-top: solid $line; scrollbar-size-vertical: 1;
    }
    DifferencesScreen > VerticalScroll > Static { height: auto; }
    DifferencesScreen > .keys { height: 1; padding: 0 1; color: $muted; }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list"), *bindings("differences")]

    def __init__(self, memory: Memory, home: Home, words: str = "") -> None:
        super().__init__()
        self._memory, self._home = memory, home
        self._all: list[Difference] = []
        self._listed: list[Difference] = []
        self._retained: frozenset[str] = frozenset()
        self._effects: Mapping[str, TrainingEffect] = {}
        self._forgetting: str | None = None
        self._old: Difference | None = None
        # Kept as attributes: a query finds nothing once the screen is emptied.
        self._filter_line, self._rows = LineInput(one_line(words, 200)), SafeOptionList()
        self._scroll, self._whole = VerticalScroll(can_focus=False), Static("", markup=False)
        self._foot = Static("", markup=False, classes="keys")

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        key = self._key("sift")
        self._filter_line.placeholder = tr("Differences · {key} to filter", key=key)
        yield self._filter_line
        yield self._rows
        with self._scroll:
            yield self._whole
        self._foot.update(self._keys())
        yield self._foot

    def on_mount(self) -> None:
        """Read the differences."""
        self._read()

    # --- the list ----------------------------------------------------------------------------

    @work(group="read", exclusive=True)
    async def _read(self) -> None:
        self._all = await asyncio.to_thread(self._memory.journal.differences.all)
        self._retained = await asyncio.to_thread(retained_ids, self._home.adapters)
        self._apply_filter()
        ids = [item.id for item in self._all]
        self._effects = await asyncio.to_thread(training_effects, self._home.runs, ids)
        self._show(self._chosen)

    def _apply_filter(self) -> None:
        words = self._filter_line.value.casefold().split()
        kept = [item for item in reversed(self._all) if all(_has(item, word) for word in words)]
        self._listed = kept[:MAX_LISTED]
        listed = self._rows
        at = listed.highlighted or 0
        listed.clear_options()
        width = max(20, self.size.width - 4)
        if not kept:
            said = (
                tr("No differences match.")
                if self._all
                else tr("No differences yet. Mark a reply with /diff.")
            )
            listed.add_option(Option(Text(said), disabled=True))
            self._show(None)
            return
        listed.add_options(Option(Text(self._line(item, width))) for item in self._listed)
        listed.highlighted = min(at, len(self._listed) - 1)
        self._show(self._chosen)

    def _line(self, item: Difference, width: int) -> str:
        pin = "⌃" if item.pinned else " "
        kind = in_words(item.kind) if item.kind else tr(item.moment)
        kind = kind.partition("/")[2] or kind
        sounds = f" → {item.contrast.sounds}" if item.contrast.sounds else ""
        sign = mark_status(item, self._retained).sign
        head = f"{sign}{pin} {item.at.astimezone():%m-%d}  {padded(one_line(kind, 12), 12)}  "
        return head + one_line(f"{item.asked}{sounds}", max(10, width - cell_len(head)))

    @property
    def _chosen(self) -> Difference | None:
        at = self._rows.highlighted
        return self._listed[at] if at is not None and at < len(self._listed) else None

    def _show(self, item: Difference | None) -> None:
        whole = self._whole
        lines = () if item is None else details(item, self._retained, self._effects.get(item.id))
        whole.update(Content("\n".join(clean(line) for line in lines)))
        self._scroll.scroll_home(animate=False)

    # --- keys --------------------------------------------------------------------------------

    def on_option_list_option_highlighted(self) -> None:
        """Show details."""
        if self._forgetting is not None:
            self._say()
        self._show(self._chosen)

    def on_option_list_option_selected(self) -> None:
        """Open the thread in which it was marked."""
        self._go_to_talk()

    def action_take(self) -> None:
        """Open the thread in which it was marked; from the filter line, focus the list."""
        listed = self._rows
        if listed.has_focus:
            self._go_to_talk()
        else:
            listed.focus()

    def _go_to_talk(self) -> None:
        if (item := self._chosen) is not None:
            self.dismiss(DifferenceAction("thread", item))

    def on_input_changed(self) -> None:
        """Filter while typing."""
        self._apply_filter()

    def action_walk(self, how: str) -> None:
        """Move the highlight; from the filter line, focus the list."""
        listed = self._rows
        if listed.has_focus:
            getattr(listed, f"action_{how}")()
        else:
            listed.focus()

    def action_sift(self) -> None:
        """Focus the filter line."""
        self._filter_line.focus()

    def action_edit(self) -> None:
        """Edit the difference in the chat."""
        if (item := self._chosen) is not None:
            self.dismiss(DifferenceAction("edit", item))

    def action_pin(self) -> None:
        """Pin or unpin the difference."""
        if (item := self._chosen) is not None:
            self._change(item, "pin")

    def action_forget(self) -> None:
        """Forget the difference, at the second press."""
        item = self._chosen
        if item is None:
            return
        if self._forgetting == item.id:
            self.dismiss(DifferenceAction("forget", item))
            return
        self._say(
            tr(
                "Press {key} again to forget {which} and its turn permanently · {back} cancel",
                key=self._key("forget"),
                which=item.id[:8],
                back=self._key("back"),
            )
        )
        self._forgetting = item.id

    def action_supersede(self) -> None:
        """Choose another difference that replaces this one, or that this one replaces."""
        item = self._chosen
        if item is None:
            return
        if self._old is None or self._old.id == item.id:
            self._say(
                tr(
                    "Select the difference that replaces {which} and press {key} · {back} cancel",
                    which=item.id[:8],
                    key=self._key("supersede"),
                    back=self._key("back"),
                )
            )
            self._old = item
        else:
            self._change(item, "supersede")

    def _key(self, name: str) -> str:
        return keyboard_of(self.app).first(name)

    def _keys(self) -> str:
        words = (
            ("sift", tr("filter")), ("choose", tr("open")), ("edit_difference", tr("edit")),
            ("pin_difference", tr("pin")), ("supersede", tr("supersede")),
            ("forget", tr("forget")), ("back", tr("back")),
        )  # fmt: skip
        return hints(keyboard_of(self.app), words)

    @work(group="change")
    async def _change(self, item: Difference, verb: str) -> None:
        old, self._old = self._old, None
        try:
            if verb == "pin":
                await asyncio.to_thread(self._memory.pin, item.id, not item.pinned)
            elif old is not None:
                await asyncio.to_thread(self._memory.supersede, old.id, item.id)
        except DiscernError as error:
            self._say(render(error.sentence))
        else:
            self._say()
        self._read()

    def _say(self, text: str = "") -> None:
        self._forgetting = self._old = None
        self._foot.update(Content(one_line(text or self._keys(), max(20, self.size.width - 2))))

    def action_leave(self) -> None:
        """Cancel a question, clear the filter, or close: whichever applies first."""
        line = self._filter_line
        if self._forgetting or self._old:
            self._say()
        elif line.value:
            line.value = ""
            self._rows.focus()
        else:
            self.dismiss(None)


def _has(item: Difference, word: str) -> bool:
    """Return whether a word matches: `error`, `waiting`, part of its kind, id or texts."""
    signs = {known.sign for known in MARK_STATUSES} & {word}
    if signs:
        return mark_status(item).sign in signs
    contrast = item.contrast
    texts: Sequence[str | None] = (
        item.moment.value, item.state.value, item.kind, item.id, item.asked, item.replied,
        contrast.missed, contrast.lost, contrast.sounds, item.note,
        item.condition, *(item.rules or ()), tr(SCOPE_LABELS[item.scope]), tr(item.moment),
        tr(item.state),
        item.kind and in_words(item.kind),
    )  # fmt: skip
    return any(word in text.casefold() for text in texts if text)
