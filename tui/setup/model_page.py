"""The first question of the setup: which model to use."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from memory.errors import DiscernError
from memory.i18n.interface_language import decimal, render, tr
from memory.settings.paths import Home, expanded
from memory.settings.settings import Settings
from tui.setup.setup import Choice, check_model, choices, starter_card
from tui.setup.setup_page import SetupPage
from tui.widgets.common.choices import ChoiceRow, Choices
from tui.widgets.common.text_input import LineInput

if TYPE_CHECKING:
    from agent.models.compatibility import Compatibility


class ModelPage(SetupPage):
    """A list of the starter, local files and downloads, or a path."""

    DEFAULT_CSS = """
    ModelPage > Input { background: $panel; margin: 1 0 0 0; }
    """

    class Chosen(Message):
        """A model was chosen: a file (None is the starter), or a download to confirm."""

        def __init__(
            self, key: str, path: Path | None, pull: tuple[str, str] | None = None
        ) -> None:
            super().__init__()
            self.key, self.path, self.pull = key, path, pull

    def __init__(self, home: Home, settings: Settings, said: str = "", row: str = "") -> None:
        super().__init__()
        self._home, self._settings, self._told = home, settings, said
        self._choices: dict[str, Choice] = {}
        self._wanted = row
        """The row to highlight once it is listed."""
        self._judged: dict[Path, Compatibility | DiscernError] = {}
        self._described = row
        self._list = Choices()
        self._path = LineInput(placeholder=tr("Path to a GGUF file"))
        self._path.display = False

    def parts(self) -> list[Widget]:
        """Return the list and the input for a path."""
        return [self._list, self._path]

    def on_mount(self) -> None:
        """Show the starter, then search for files."""
        self.lead(
            tr(
                "Which model do you want to use? It runs on this machine; your conversations never "
                "leave it."
            )
        )
        self._say_keys()
        self._take([Choice("starter", "starter", starter_card()["bytes"])])
        if self._told:
            self.say(self._told)
        self._list.focus()
        self._look_around()

    def _say_keys(self) -> None:
        esc = tr("Esc open chat")
        if self._path.display:
            self.keys(tr("Enter continue") + " · " + tr("Esc back"))
        else:
            self.keys(tr("↑ ↓ choose") + " · " + tr("Enter continue") + " · " + esc)

    @work(group="look", exclusive=True)
    async def _look_around(self) -> None:
        found = await asyncio.to_thread(choices, self._home)
        self._take(found)
        for item in found:
            if item.path is not None:
                try:
                    said: Compatibility | DiscernError = await asyncio.to_thread(
                        check_model, item.path, self._settings
                    )
                except DiscernError as error:
                    said = error
                self._judged[item.path] = said
                self._draw()

    def _take(self, found: list[Choice]) -> None:
        self._choices = {f"{item.kind}:{item.path or item.name}": item for item in found}
        self._draw()

    # --- showing -----------------------------------------------------------------------------

    def _draw(self) -> None:
        heads = {
            "starter": tr("Included with Discern"),
            "here": tr("On this machine"),
            "download": tr("Available to download"),
            "path": tr("Other"),
        }
        rows: list[ChoiceRow] = []
        last = ""
        for key, item in self._choices.items():
            if self._embeds(item):
                continue
            if item.kind != last:
                rows.append(ChoiceRow("", heads[item.kind]))
                last = item.kind
            rows.append(ChoiceRow(key, *self._row(item)))
        if self._wanted in self._choices:
            self._list.show(rows, self._wanted)
            self._wanted = ""
        else:
            self._list.show(rows)
        self._describe(self._list.highlighted_key)

    def _embeds(self, item: Choice) -> bool:
        said = self._judged.get(item.path) if item.path else None
        return said is not None and not isinstance(said, DiscernError) and said.embeds

    def _row(self, item: Choice) -> tuple[str, ...]:
        if item.kind == "path":
            return (tr("your own GGUF file"),)
        size = tr("{size} MB", size=decimal(f"{item.size / 1e6:,.0f}"))
        if item.kind == "starter":
            return tr("starter"), size, tr("ready to use")
        if item.kind == "download":
            word = tr("fits") if item.fits else tr("too large")
            return item.name, tr("about {size}", size=size), word
        return item.name, size, self._verdict(item)

    def _verdict(self, item: Choice) -> str:
        assert item.path is not None
        said = self._judged.get(item.path)
        if said is None:
            return "…"
        if isinstance(said, DiscernError):
            return tr("damaged")
        if not said.serves:
            broken = {line.what for line in said.lines if line.state == "broken"}
            return tr("too large") if "memory" in broken else tr("not supported")
        return tr("fits") if said.trains else tr("fits, cannot be trained")

    def on_choices_highlighted(self, message: Choices.Highlighted) -> None:
        """Describe the highlighted model."""
        message.stop()
        if message.key != self._described:
            self.say("")
        self._describe(message.key)

    def _describe(self, key: str) -> None:
        item = self._choices.get(key)
        self._described = key
        if item is None:
            self.about("")
        elif item.kind == "starter":
            card = starter_card()
            self.about(
                tr(
                    "A model with {millions} million parameters that knows {facts} simple facts "
                    "in English and Russian. Use it to try the full loop, including training. For "
                    "real conversations choose a larger model, now or later.",
                    millions=decimal(f"{card['parameters'] / 1e6:.1f}"),
                    facts=decimal(f"{card['facts']:,}"),
                )
            )
        elif item.kind == "download":
            assert item.pull is not None
            self.about(
                tr(
                    "{repo} on the Hugging Face Hub. The exact size, license and sha256 are shown "
                    "first; nothing is downloaded until you confirm.",
                    repo=item.pull[0],
                )
            )
        elif item.kind == "path":
            self.about(tr("A chat model in a single GGUF file. The file is not moved or copied."))
        else:
            self.about(self._reasons(item))

    def _reasons(self, item: Choice) -> str:
        assert item.path is not None
        said = self._judged.get(item.path)
        if said is None:
            return str(item.path)
        if isinstance(said, DiscernError):
            return render(said.sentence)
        worst = [line.text for line in said.lines if line.state != "ok"]
        told = worst or [line.text for line in said.lines if line.what in ("kind", "memory")]
        return f"{item.path}\n{'; '.join(map(render, told[:2]))}"

    # --- answering ---------------------------------------------------------------------------

    def on_choices_chosen(self, message: Choices.Chosen) -> None:
        """Choose the model, ask for a path, or show why the model cannot be used."""
        message.stop()
        self.say("")
        item = self._choices[message.key]
        if item.kind == "path":
            self._list.disabled = True
            self._path.display = True
            self._path.focus()
            self._say_keys()
        elif item.kind == "here":
            assert item.path is not None
            self._check(item.path)
        else:
            self.post_message(self.Chosen(message.key, None, item.pull))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Check the file at this path."""
        message.stop()
        if message.value.strip():
            self._check(expanded(message.value.strip()).absolute())

    @work(group="check", exclusive=True)
    async def _check(self, path: Path) -> None:
        self.say(tr("Checking the file…"), quiet=True)
        try:
            said = await asyncio.to_thread(check_model, path, self._settings)
        except DiscernError as error:
            self.say(render(error.sentence))
            return
        if said.serves:
            self.post_message(self.Chosen(f"here:{path}", path))
        else:
            self.say(render(next(line.text for line in said.lines if line.state == "broken")))

    def back(self) -> bool:
        """Close the input for a path."""
        if not self._path.display:
            return False
        self._path.display = False
        self._list.disabled = False
        self._list.focus()
        self.say("")
        self._say_keys()
        return True
