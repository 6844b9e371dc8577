"""`discern report`: the results of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from memory.errors import HomeError
from memory.sentence import NOTHING, Sentence
from tui.cli.completion_values import runs
from tui.cli.shared_options import as_json, open_home, print_json
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from memory.settings.paths import Home
    from trainer.report.report import Report

CUT_OFF, UNDER_WAY, UNREADABLE = WITHOUT = ("cut off", "under way", "unreadable")
"""Verdicts in the list for runs without a readable report."""
LABELS = {CUT_OFF: "interrupted", UNDER_WAY: "running"}
"""Names of verdicts in the printed list, where they differ."""


@click.command(
    epilog="""\b
Examples:
  discern report                     the last run
  discern report --list              all runs, newest first
  discern report -2                  the one before the last
  discern report 20260310T0315       the run whose name starts with this
  discern report --open              open a page with curves in the browser
  discern report --html night.html   write that page to a file
""",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("run", required=False, shell_complete=runs)
@click.option("--list", "list_all", is_flag=True, help="List all runs.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report as a self-contained HTML page.",
)
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@as_json
def report(
    run: str | None, list_all: bool, page: Path | None, open_it: bool, as_json: bool
) -> None:
    """Show the report of a training run: verdict, lessons, what changed, what to do next."""
    from memory.journal.journal import Journal
    from trainer.report.page import report_page
    from trainer.report.report import find_run, latest, require_report

    home, _settings = open_home()
    if list_all:
        _list(home, as_json)
        return
    folder = find_run(home.runs, run) if run else None
    found = require_report(folder) if folder else latest(home.runs, _say_unreadable)
    if found is None:
        echo("null" if as_json else "No training runs yet. Start one with `discern train`.")
        return
    if page or open_it:
        if page is not None:
            with Journal(home.prepare().journal) as journal:
                journal.exported_copies.note(page)
        page = page or Path(found.run) / "report.html"  # `forget` cleans that folder
        _write(page, report_page(found))
        if not as_json:
            echo(f"Wrote {page}")
        if open_it:
            click.launch(page.absolute().as_uri())
        if not as_json:
            return
    if as_json:
        print_json(found.to_json())
    else:
        from tui.cli.print_report import printed, room

        echo(printed(found, room()))


def _write(page: Path, text: str) -> None:
    from memory.files.atomic_write import write_whole

    try:
        write_whole(page, text)
    except OSError as error:
        raise HomeError(
            "cannot write {page}: {strerror}; choose another location with --html FILE",
            page=page,
            strerror=error.strerror,
        ) from error


def _say_unreadable(said: Sentence) -> None:
    echo(f"discern: {said}", err=True)


def _list(home: Home, as_json: bool) -> None:
    from trainer.night.run import find_active_run
    from trainer.report.report import folders, read_report, unreadable

    going = find_active_run(home)
    rows: list[tuple[str, str, Sentence, Report | None]] = []
    for folder in folders(home.runs):
        if (found := read_report(folder)) is not None:
            rows.append((folder.name, found.verdict, found.sentence, found))
        elif said := unreadable(folder):
            rows.append((folder.name, UNREADABLE, said, None))
        else:
            why = UNDER_WAY if folder == going else CUT_OFF
            rows.append((folder.name, why, NOTHING, None))
    if as_json:
        print_json(
            [
                {
                    "run": name,
                    "verdict": verdict,
                    "sentence": sentence,
                    "adapter": found.adapter if found else None,
                    "started": found.started if found else None,
                }
                for name, verdict, sentence, found in rows
            ]
        )
        return
    from memory.i18n.interface_language import render, tr
    from tui.cli.print_report import room
    from tui.terminal.sanitize import one_line, padded

    for name, verdict, sentence, _found in rows:
        head = f"{name:18}  {padded(tr(LABELS.get(verdict, verdict)), 14)}  "
        echo((head + one_line(render(sentence), max(8, room() - len(head)))).rstrip())
    if not rows:
        echo("No training runs yet. Start one with `discern train`.")
