"""The download page: facts about the file, confirmation, progress."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from agent.models.pull import Offer
from memory.errors import DiscernError
from memory.i18n.interface_language import decimal, render, tr
from memory.settings.paths import Home
from tui.setup.fetching import Advanced, Fetched, Fetching, Looked
from tui.setup.setup_page import SetupPage
from tui.terminal.sanitize import clean, one_line
from tui.training.progress import bar, clock


class FetchPage(SetupPage, can_focus=True):
    """Downloads one file of the hub, after Enter."""

    class Done(Message):
        """The file was downloaded."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    class Cancelled(Message):
        """The download was cancelled or failed; `said` is the reason."""

        def __init__(self, said: str = "") -> None:
            super().__init__()
            self.said = said

    def __init__(self, home: Home, source: tuple[str, str]) -> None:
        super().__init__()
        self._source = source
        self._fetching = Fetching(home, source, self.post_message)
        self._offer: Offer | None = None
        self._under_way = False
        self._done = 0
        self._facts = Static("", markup=False)
        self._bar = Static("", markup=False)

    def parts(self) -> list[Widget]:
        """Return the facts and the progress bar."""
        return [self._facts, self._bar]

    def on_mount(self) -> None:
        """Ask the hub about the file."""
        repo, file = self._source
        self.lead(tr("Looking up {file} in {repo}…", file=file, repo=repo))
        self.keys(tr("Esc back"))
        self.focus()
        self._fetching.look()

    def on_unmount(self) -> None:
        """Stop the download."""
        self._fetching.stop()

    def on_looked(self, message: Looked) -> None:
        """Show the file and ask for confirmation."""
        message.stop()
        if message.offer is None:
            self.post_message(self.Cancelled(_why(message.error)))
            return
        self._offer = offer = message.offer
        self.lead(tr("To be downloaded:"))
        rows = [
            (tr("file"), one_line(offer.file)),
            (tr("from"), one_line(offer.repo)),
            (tr("size"), tr("{size} MB", size=_mega(offer.size))),
            (tr("license"), one_line(offer.licence)),
            (tr("sha256"), offer.sha256),
            (tr("to"), str(offer.target)),
        ]
        if offer.have:
            rows.append((tr("downloaded"), tr("{size} MB", size=_mega(offer.have))))
        width = max(len(name) for name, _text in rows) + 2
        self._facts.update(clean("\n".join(f"{name:<{width}}{text}" for name, text in rows)))
        self.keys(tr("Enter download") + " · " + tr("Esc back without downloading"))

    def on_key(self, event: events.Key) -> None:
        """Start the download at Enter."""
        if event.key == "enter" and self._offer is not None and not self._under_way:
            event.stop()
            self._under_way = True
            self._done = self._offer.have
            self.lead(tr("Downloading…"))
            self.keys(tr("Esc stop; you can resume later"))
            self._draw(self._offer.have, self._offer.size, 0.0)
            self._fetching.fetch(self._offer)

    def on_advanced(self, message: Advanced) -> None:
        """Show progress."""
        message.stop()
        self._done = message.done
        self._draw(message.done, message.total, message.speed)

    def _draw(self, done: int, total: int, speed: float) -> None:
        share = done / max(1, total)
        if done >= total:
            said = tr("download complete; verifying…")
        else:
            said = tr("{done} of {total} MB", done=_mega(done), total=_mega(total))
            if speed > 0:
                left = clock((total - done) / speed)
                said += " · " + tr("{speed} MB/s", speed=decimal(f"{speed / 1e6:.1f}"))
                said += " · " + tr("{time} left", time=left)
        self._bar.update(f"\n{bar(share, 30)} {share:.0%}  {said}")

    def on_fetched(self, message: Fetched) -> None:
        """Continue, or return with the error."""
        message.stop()
        if message.path is not None:
            self.post_message(self.Done(message.path))
        else:
            self.post_message(self.Cancelled(_why(message.error)))

    def back(self) -> bool:
        """Stop the download and return to the model page."""
        self._fetching.stop()
        said = ""
        if self._under_way and self._offer is not None:
            said = tr(
                "Stopped. {done} of {total} MB are kept; the next download resumes from there.",
                done=_mega(self._done),
                total=_mega(self._offer.size),
            )
        self.post_message(self.Cancelled(said))
        return True


def _why(error: DiscernError | None) -> str:
    return "" if error is None else render(error.sentence)


def _mega(size: int) -> str:
    return decimal(f"{size / 1e6:,.0f}")
