"""The status line: model and adapter │ context │ speed │ marks waiting │ next night or training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import decimal, tr, trn
from tui.terminal.sanitize import one_line

NEARLY_FULL = 0.85
"""Share of the context above which the line shows the percentage."""


@dataclass(frozen=True, slots=True)
class Status:
    """The parts of the status line; empty ones are left out."""

    model: str = ""
    adapter: str | None = None
    context_used: int = 0
    context_size: int = 0
    speed: float = 0.0
    first_token: float = 0.0
    """Seconds from a message to the first piece of its reply."""
    scale: float = 1.0
    waiting: int = 0
    night: str = ""
    training: str = ""
    recalling: bool = True
    by_words: bool = False
    passing: str = ""
    """The current activity, shown instead of the model."""
    hint: str = ""
    """A temporary message, shown instead of everything else."""
    keys: str = ""
    """Hints of the current keys, shown instead of everything else."""


class StatusLine(Static):
    """One dim line at the bottom; in a narrow terminal the least important parts are dropped."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1;
        padding: 0 2 0 3;
        color: $muted;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False, id="status")
        self.status = Status()

    def change(self, **values: Any) -> None:
        """Change parts of the status."""
        self.status = replace(self.status, **values)
        self._draw()

    def say(self, hint: str, seconds: float = 3.0) -> None:
        """Show a message for `seconds`."""
        self.change(hint=hint)
        self.set_timer(seconds, lambda: self._forget(hint))

    def _forget(self, hint: str) -> None:
        if self.status.hint == hint:
            self.change(hint="")

    def on_resize(self) -> None:
        """Fit the line to the new width."""
        self._draw()

    def _draw(self) -> None:
        width = max(10, self.size.width or self.app.size.width - 5)
        accent = self.app.theme_variables["accent"]
        colours = {"accent": accent, "full": self.app.theme_variables["warning"]}
        joined: list[Content] = []
        for text, style in fit(self.status, width):
            joined.append(Content.styled(text, colours[style]) if style else Content(text))
        self.update(Content(" │ ").join(joined))


def fit(status: Status, width: int) -> list[tuple[str, str]]:
    """Return the parts (text, style) that fit `width` columns, in their order."""
    if status.hint:
        return [(one_line(status.hint, width), "accent")]
    if status.keys:
        return [(one_line(status.keys, width), "")]
    # (rank, text, style): parts of a higher rank are dropped first.
    parts: list[tuple[int, str, str]] = []
    if status.passing:
        parts.append((0, one_line(status.passing, max(10, width // 2)), ""))
    elif status.model:
        adapter = status.adapter[:8] if status.adapter else tr("base")
        if status.adapter and status.scale != 1:
            adapter += f" ×{status.scale:g}"
        parts.append((0, f"{one_line(status.model, max(8, min(24, width // 4)))} · {adapter}", ""))
    if status.context_size:
        share = status.context_used / status.context_size
        full = "full" if share >= NEARLY_FULL else ""
        said = f"{status.context_used}/{status.context_size}"
        # The share is text too: colour alone carries no meaning.
        parts.append(
            (
                1 if full else 3,
                said + (" " + tr("{share} full", share=f"{share:.0%}") if full else ""),
                full,
            )
        )
    if status.speed:
        parts.append((4, tr("{speed} tok/s", speed=f"{status.speed:.0f}"), ""))
    if status.first_token:
        parts.append((5, tr("first token {seconds}", seconds=_seconds(status.first_token)), ""))
    if not status.recalling:
        parts.append((1, tr("recall off"), ""))
    elif status.by_words:
        parts.append((3, tr("keyword search"), ""))
    if status.waiting:
        parts.append((1, "◆ " + trn("{n} waiting", "{n} waiting", status.waiting), "accent"))
    if status.training:
        parts.append((0, status.training, "accent"))
    elif status.night:
        parts.append((2, status.night, ""))
    while len(parts) > 1 and sum(cell_len(text) + 3 for _, text, _ in parts) - 3 > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    return [(text, style) for _, text, style in parts]


def _seconds(value: float) -> str:
    """Return seconds with two significant digits: 0.42 s, 4.2 s, 42 s."""
    said = f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return tr("{number} s", number=decimal(said))
