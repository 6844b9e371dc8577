"""The catalogue of interface texts: what the code says, and the files a translator and gettext read.

python -m tests.messages        # `make messages`: bring the .po up to date, write the .mo
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from memory.language import DOMAIN, LOCALE
from tests.faults.processes import ROOT

PACKAGES = ("memory", "agent", "trainer", "tui")
HEADER = "# What Discern says in Russian. `make messages` brings it up to date and compiles it."
KEYWORDS = {"tr": None, "trn": (1, 2)}


def registered() -> set[str]:
    """Return the texts of the registries, which are looked up where they are shown."""
    from tui.commands import COMMANDS
    from tui.fates import FATES
    from tui.keys import FIXED, KEYS, PLACES
    from tui.progress import PHASES
    from tui.training_words import REASONS, VERDICTS

    found: set[str] = {*PLACES.values(), *PHASES.values(), *(text for _, text in FIXED)}
    found |= {*REASONS.values(), *VERDICTS.values()}
    found |= {key.help for key in KEYS} | {fate.meaning for fate in FATES}
    for command in COMMANDS:
        found |= {command.hint, command.help, *(hint for _, hint in command.words)}
        found |= {command.argument} if command.argument else set()
    return found


def template() -> Catalog:
    """Return every text that the code may say, untranslated."""
    catalog = Catalog(project="Discern")
    for package in PACKAGES:
        found = extract_from_dir(
            ROOT / package, keywords=KEYWORDS, method_map=[("**.py", "python")]
        )
        for file, _line, message, _comments, _context in found:
            catalog.add(message, locations=[(f"{package}/{file}", 0)])
    for text in sorted(registered()):
        catalog.add(text, locations=[("registry", 0)])
    return catalog


def po_file(language: str) -> Path:
    """Return where the translator's file of a language is."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """Return the translations as they stand."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


def compiled(catalog: Catalog) -> bytes:
    """Return what gettext reads."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def main() -> int:
    """Bring the catalogue up to date; say what is untranslated."""
    path = po_file("ru")
    catalog = read("ru") if path.exists() else Catalog(locale="ru", fuzzy=False)
    catalog.header_comment = HEADER
    catalog.update(template(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalog, width=100, sort_output=True, no_location=True, omit_header=False)
    path.with_suffix(".mo").write_bytes(compiled(catalog))
    missing = [item.id for item in catalog if item.id and not _said(item.string)]
    for text in missing:
        sys.stderr.write(f"untranslated: {text!r}\n")
    return 1 if missing else 0


def _said(string: str | tuple[str, ...]) -> bool:
    return bool(string) and all(string if isinstance(string, tuple) else (string,))


if __name__ == "__main__":
    sys.exit(main())
