"""Update the catalog of user-facing messages from the source code, and compile it.

python -m docs.messages       # `make messages`: update the .po, write the .mo

Messages are the constant arguments of `tr`, `trn`, `Sentence` and the error classes. Texts that
registries define as data are collected by `registry_messages`.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import get_args

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from memory import errors
from memory.i18n.interface_language import DOMAIN, LOCALE

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("memory", "agent", "trainer", "tui")
ERRORS = tuple(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.DiscernError)
)
CALLS = ("tr", "trn", "Sentence", *ERRORS)
"""Functions and classes whose first argument is a message."""
EARLIER = (
    "Learned from {count} difference{s}; the run was interrupted after publishing the adapter.",
    "{moved} other answer{s} changed, within the limits of the evaluation",
    "{right} of {lessons} lessons from {count} difference{s}",
    "the training gets {share:.0%} of its usual time",
)
"""Templates in stored reports and nights of earlier versions; the code no longer has them."""
HEADER = "# Russian translation of Discern. `make messages` updates and compiles this file."


def registry_messages() -> set[str]:
    """Return the messages defined in registries, which are translated where they are shown."""
    from memory.difference import CONTRAST_LABELS, SCOPE_LABELS, Moment, State
    from trainer.report.page import HEADS
    from trainer.report.report import FATE_LABELS, RunOutcome
    from trainer.stages import GROUPS
    from tui.app import TEXTUAL_COMMANDS
    from tui.chat.training.idle_unload import UNLOADED
    from tui.cli.training.report import LABELS, WITHOUT
    from tui.commands.registry import COMMANDS
    from tui.keys.registry import FIXED, KEYS, PLACES
    from tui.screens import help
    from tui.training.log_text import REASONS, VERDICTS
    from tui.training.progress import PHASES
    from tui.views.mark_status import MARK_STATUSES
    from tui.widgets.chat import welcome
    from tui.widgets.composer import entry
    from tui.widgets.marking import contrast_card, mark_picker

    found: set[str] = {*PLACES.values(), *PHASES.values(), *(text for _, text in FIXED)}
    found |= {
        *map(str, Moment),
        *map(str, State),
        *get_args(RunOutcome),
        *FATE_LABELS.values(),
        *PHASES,
        *GROUPS,
        *CONTRAST_LABELS.values(),
        *SCOPE_LABELS.values(),
    }
    found |= {
        *REASONS.values(),
        *VERDICTS.values(),
        *(LABELS.get(verdict, verdict) for verdict in WITHOUT),
        *(head for head, _ in HEADS.values()),
    }
    found |= {*TEXTUAL_COMMANDS, *TEXTUAL_COMMANDS.values(), "recall"}
    found |= {UNLOADED, help.LEGEND, entry.PLACEHOLDER, *EARLIER}
    picker = (mark_picker.WORDS, mark_picker.WIDE_WORDS)
    for lines in (contrast_card.LINES, [contrast_card.NOTE], *picker):
        found |= {text for name, hint in lines for text in (contrast_card.label_of(name), hint)}
    found |= {text for pair in welcome.LINES for text in pair if not text.startswith("/")}
    found |= {key.help for key in KEYS} | {status.meaning for status in MARK_STATUSES}
    for command in COMMANDS:
        found |= {command.hint, *(hint for _, hint in command.words)}
        found |= {word for word, _ in command.words} if command.name == "diff" else set()
    return found


@cache
def message_calls() -> tuple[tuple[str, ast.Call, str], ...]:
    """Return (package, call, name of the function) of every call that has a message."""
    return tuple(
        (package, node, name)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and (name := str(getattr(node.func, "id", getattr(node.func, "attr", "")))) in CALLS
    )


def source_messages() -> Iterator[tuple[str, str | tuple[str, str]]]:
    """Yield (package, message) of every call; a message with a plural is a pair."""
    for package, node, _name in message_calls():
        texts = [
            argument.value
            for argument in node.args
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        if len(texts) == 2:
            yield package, (texts[0], texts[1])
        elif texts and any(map(str.isalpha, fixed_text(texts[0]))):
            yield package, texts[0]


def fixed_text(template: str) -> str:
    """Return the text of a template without its placeholders."""
    return "".join(literal for literal, *_ in Formatter().parse(template))


def source_catalog() -> Catalog:
    """Return all messages, without translations."""
    catalog = Catalog(project="Discern")
    for package, text in source_messages():
        catalog.add(text, locations=[(package, 0)])
    for text in sorted(registry_messages()):
        catalog.add(text, locations=[("registry", 0)])
    return catalog


def po_file(language: str) -> Path:
    """Return the path of a language's .po file."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read_catalog(language: str) -> Catalog:
    """Read the .po file of a language."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


def compile_catalog(catalog: Catalog) -> bytes:
    """Return the content of the .mo file."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def main() -> int:
    """Update the catalog and list untranslated messages; return 1 if there are any."""
    path = po_file("ru")
    catalog = read_catalog("ru") if path.exists() else Catalog(locale="ru", fuzzy=False)
    made = catalog.creation_date
    catalog.update(source_catalog(), no_fuzzy_matching=True)
    catalog.header_comment, catalog.creation_date = HEADER, made
    catalog.project, catalog.version = "Discern", ""
    catalog.last_translator = catalog.language_team = "Discern"
    catalog.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalog, width=100, sort_output=True, no_location=True, omit_header=False)
    path.with_suffix(".mo").write_bytes(compile_catalog(catalog))
    missing = [item.id for item in catalog if item.id and not all(translations(item))]
    for text in missing:
        sys.stderr.write(f"untranslated: {text!r}\n")
    return 1 if missing else 0


def translations(item: Message) -> tuple[str, ...]:
    """Return the translation of a message, or one for each plural form."""
    return tuple(item.string) if isinstance(item.string, list | tuple) else (item.string or "",)


if __name__ == "__main__":
    sys.exit(main())
