"""The comparison screen: replies of two configurations to a prompt, side by side.

A side is the base model or an adapter, with or without recall. 1 and 2 change the sides, Enter asks
both, B hides their names until one is chosen, M returns the better reply to the chat to mark it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.terminal.sanitize import clean, one_line
from tui.widgets.common.text_input import LineInput

if TYPE_CHECKING:
    from trainer.evaluate.compare import Pair, Side

NARROW = 100
"""Columns below which the sides are stacked."""

Ask = Callable[[tuple["Side", "Side"], str], Awaitable["Pair"]]


class CompareScreen(Modal[str | None]):
    """The prompt, the two replies and the keys; returns the reply to use as the better answer.

    `sides` are the available configurations, `ask` returns two replies; `prompt` is asked immediately.
    """

    DEFAULT_CSS = """
    CompareScreen { layout: vertical; background: $background; }
    CompareScreen > Horizontal { height: 1fr; border-top: solid $line; }
    CompareScreen VerticalScroll { width: 1fr; height: 1fr; padding: 0 2; scrollbar-size-vertical: 1; }
    CompareScreen VerticalScroll > Static { height: auto; }
    CompareScreen .side { color: $muted; }
    CompareScreen .-better .side { color: $accent; text-style: bold; }
    CompareScreen.-narrow > Horizontal { layout: vertical; }
    CompareScreen > .keys { height: 1; padding: 0 1; color: $muted; }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]

    def __init__(
        self, sides: Sequence[Side], ask: Ask, prompt: str = "", *, may_mark: bool
    ) -> None:
        super().__init__()
        self._sides, self._ask, self._prompt = list(sides), ask, prompt
        self._may_mark = may_mark
        self._at = [0, min(1, len(self._sides) - 1)]
        self._replies: list[str] | None = None
        self._order = [0, 1]
        self._blind = False
        self._better: int | None = None
        """The column that was chosen; 2 is a tie."""
        # Kept as attributes: a query finds nothing once the screen is emptied.
        self._line = LineInput(one_line(prompt, 2000), placeholder=tr("Prompt for both sides"))
        self._columns = [VerticalScroll(can_focus=False) for _ in range(2)]
        self._heads = [Static("", markup=False, classes="side") for _ in range(2)]
        self._said = [Static("", markup=False, classes="said") for _ in range(2)]
        self._foot = Static("", markup=False, classes="keys")

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._line
        with Horizontal():
            for number in (0, 1):
                with self._columns[number]:
                    yield self._heads[number]
                    yield self._said[number]
        yield self._foot

    def on_mount(self) -> None:
        """Ask if there is a prompt, else focus the input."""
        self._fit()
        self._draw()
        if self._prompt.strip():
            self.set_focus(None)
            self._go()
        else:
            self._line.focus()

    def on_resize(self, _event: events.Resize) -> None:
        """Show the sides side by side if there is room."""
        self._fit()

    def on_descendant_focus(self) -> None:
        """Show the keys of the prompt."""
        self._draw()

    def on_descendant_blur(self) -> None:
        """Show the keys of the screen."""
        self._draw()

    def _fit(self) -> None:
        self.set_class(self.size.width < NARROW, "-narrow")

    # --- asking ------------------------------------------------------------------------------

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Ask both sides."""
        if message.value.strip():
            self._may_mark = self._may_mark and message.value == self._prompt
            self.set_focus(None)
            self._go()

    @work(group="ask", exclusive=True)
    async def _go(self) -> None:
        self._replies, self._better = None, None
        if self._blind:
            random.SystemRandom().shuffle(self._order)
        else:
            self._order = [0, 1]
        self._draw()
        first, second = (self._sides[at] for at in self._at)
        try:
            pair = await self._ask((first, second), self._line.value.strip())
        except DiscernError as error:
            self._say(render(error.sentence))
            return
        self._replies = [pair.first, pair.second]
        self._draw()

    # --- showing -----------------------------------------------------------------------------

    def _draw(self) -> None:
        hidden = self._blind and self._better is None
        for number in (0, 1):
            who = self._order[number]
            name = (
                tr("side {letter}", letter="AB"[number])
                if hidden
                else _named(self._sides[self._at[who]].name)
            )
            said = "…" if self._replies is None else self._replies[who] or tr("(empty reply)")
            mark = " ✓ " + tr("better") if self._better == number else ""
            self._heads[number].update(Content(clean(f"{name}{mark}")))
            self._said[number].update(Content(clean(said)))
            self._columns[number].set_class(self._better == number, "-better")
        if self._better is None:
            self._say(f"{self._keys()} · {tr('blind')}" if self._blind else self._keys())
        elif self._may_mark and self._better < 2:
            self._say(self._after(("take_better", tr("use as the better answer"))))
        else:
            tie = f"{tr('a tie')} · {self._after()}"
            self._say(tie if self._better == 2 else self._keys())

    def _keys(self) -> str:
        """Return the keys before a side was chosen; those of the prompt while it has the focus."""
        if self._line.has_focus:
            back = hints(keyboard_of(self.app), [("back", tr("back"))])
            return f"{tr('Enter ask both sides')} · {back}"
        words = (
            ("first_side", ""), ("second_side", tr("sides")), ("blind", tr("blind")),
            ("first_better", ""), ("second_better", tr("better")), ("tie", tr("tie")),
            ("other_prompt", tr("other prompt")), ("back", tr("back")),
        )  # fmt: skip
        return hints(keyboard_of(self.app), words)

    def _after(self, *more: tuple[str, str]) -> str:
        """Return the keys after a side was chosen."""
        words = (*more, ("ask_again", tr("ask again")), ("back", tr("back")))
        return hints(keyboard_of(self.app), words)

    def _say(self, text: str) -> None:
        line = one_line(text, max(20, self.size.width - 2))
        self._foot.update(Content(line))

    # --- keys --------------------------------------------------------------------------------

    # While the input has the focus, it handles these keys itself, except the one that goes back.

    def action_side(self, place: int) -> None:
        """Change a side to the next configuration."""
        self._at[place] = (self._at[place] + 1) % len(self._sides)
        self._go_if_asked()

    def action_blind(self) -> None:
        """Hide or show which side is which."""
        self._blind = not self._blind
        self._go_if_asked()

    def action_ask(self) -> None:
        """Ask both sides again."""
        self._go_if_asked()

    def action_prompt(self) -> None:
        """Edit the prompt."""
        self._line.focus()

    def action_better(self, which: int) -> None:
        """Choose the better side; 2 is a tie."""
        if self._replies is not None:
            self._better = which
            self._draw()

    def action_take(self) -> None:
        """Return the better reply to the chat."""
        if self._may_mark and self._better in (0, 1) and self._replies:
            self.dismiss(self._replies[self._order[self._better]])

    def _go_if_asked(self) -> None:
        if self._line.value.strip():
            self._go()
        else:
            self._draw()

    def action_leave(self) -> None:
        """Go back to the chat."""
        self.dismiss(None)


def _named(side: str) -> str:
    """Return a side's name ("base", "base+recall", an adapter's id) for display."""
    who, recall, _ = side.partition("+")
    return (tr("base") if who == "base" else who) + (f"+{tr('recall')}" if recall else "")
