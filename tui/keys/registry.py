"""The registry of keys: what each one does, and where.

The bindings of the application, its screens and widgets are made from it (`tui/keys/bindings.py`), as
are the Help screen, the palette's hints and `docs/commands.md`. `[keys]` in `config.toml` remaps keys
by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLACES: Mapping[str, str] = {
    "anywhere": "anywhere",
    "chat": "in the chat",
    "input": "while writing",
    "reply": "while a reply is chosen",
    "passage": "while words of a reply are chosen",
    "picker": "while a mark is said",
    "card": "in the card of three lines",
    "why": "in the card of what was recalled",
    "training": "on the training screen",
    "list": "in a list that is open",
    "sessions": "among the sessions",
    "differences": "among the differences",
    "compare": "in the comparison",
    "report": "in a report",
    "context": "in the context",
}
"""Where a key acts, in the words that Help shows."""
WRITTEN = ("anywhere", "chat", "input", "card", "list", "sessions")
"""Places where text is typed, so that a letter alone cannot be a key."""
SCREENS = ("training", "list", "sessions", "differences", "compare", "report", "context")
"""Places that cover the chat, where its keys do not act."""
LISTS = ("sessions", "differences")
"""Screens whose list the keys of "list" move in."""


@dataclass(frozen=True, slots=True)
class Key:
    """An action and its keys; `action` is Textual's, "" where the widget handles the key itself."""

    id: str
    keys: tuple[str, ...]
    help: str
    where: str
    action: str = ""
    priority: bool = False


KEYS: tuple[Key, ...] = (
    Key("help", ("f1",), "commands and keys", "anywhere", "help"),
    Key("palette", ("ctrl+p",), "all commands", "anywhere", "command_palette", True),
    Key(
        "copy_or_leave",
        ("ctrl+c",),
        "copy what is selected; twice: leave",
        "anywhere",
        "copy_or_leave",
        True,
    ),
    Key("leave", ("ctrl+q",), "leave", "anywhere", "leave", True),
    Key("back", ("escape",), "stop the reply and keep it; go back", "chat", "back"),
    Key("earlier_reply", ("alt+up",), "choose the reply before", "chat", "walk(-1)", True),
    Key("later_reply", ("alt+down",), "choose the reply after", "chat", "walk(1)", True),
    Key(
        "mark_now",
        ("alt+d",),
        "mark what is selected, else the chosen or last reply",
        "chat",
        "mark_now",
        True,
    ),
    Key(
        "training",
        ("ctrl+t", "f4"),
        "watch the training; stop or abort it there",
        "chat",
        "training",
        True,
    ),
    Key("send", ("enter",), "send", "input"),
    Key("newline", ("ctrl+j", "shift+enter", "alt+enter"), "break the line", "input"),
    Key("editor", ("ctrl+g",), "write it in $EDITOR", "input", "editor", True),
    Key("complete", ("tab",), "complete a command", "input"),
    Key("mark", ("d",), "mark it: digits for the kind, Enter skips", "reply", "mark"),
    Key("passage", ("v",), "choose words of it", "reply", "passage"),
    Key("unmark", ("u",), "take its last mark back", "reply", "unmark"),
    Key("contrast", ("c",), "the three lines of its mark", "reply", "contrast"),
    Key("why", ("w",), "what was recalled for it", "reply", "why"),
    Key("thought", ("t",), "unfold what was thought for it, or fold it", "reply", "thought"),
    Key("edit", ("e",), "ask its message otherwise, as a branch", "reply", "edit"),
    Key("retry", ("r",), "ask its message again", "reply", "retry"),
    Key(
        "branch_before",
        ("left_square_bracket", "alt+left"),
        "the branch before",
        "reply",
        "branch(-1)",
    ),
    Key(
        "branch_after",
        ("right_square_bracket", "alt+right"),
        "the branch after",
        "reply",
        "branch(1)",
    ),
    Key("copy", ("y",), "copy it as it was written", "reply", "copy"),
    Key("copy_code", ("Y",), "copy its code; again: the next block", "reply", "copy_code"),
    Key("next_word", ("right",), "the next word", "passage", "move(1)"),
    Key("previous_word", ("left",), "the word before", "passage", "move(-1)"),
    Key("next_line", ("down",), "the line below", "passage", "line(1)"),
    Key("previous_line", ("up",), "the line above", "passage", "line(-1)"),
    Key("grow", ("v", "space"), "begin the part here, or end it", "passage", "grow"),
    Key("grow_right", ("shift+right",), "one word more", "passage", "move(1, True)"),
    Key("grow_left", ("shift+left",), "one word less", "passage", "move(-1, True)"),
    Key("grow_down", ("shift+down",), "one line more", "passage", "line(1, True)"),
    Key("grow_up", ("shift+up",), "one line less", "passage", "line(-1, True)"),
    Key("mark_passage", ("d", "enter"), "mark these words", "passage", "take"),
    Key("skip", ("enter",), "leave this unsaid; at the end keep", "picker", "skip"),
    Key("step_back", ("backspace",), "take the last answer back", "picker", "back"),
    Key("keep", ("ctrl+s",), "keep what it says", "card", "keep", True),
    Key("why_up", ("up",), "the row above", "why", "move(-1)"),
    Key("why_down", ("down",), "the row below", "why", "move(1)"),
    Key("pin", ("p",), "pin it, or no longer", "why", "pin"),
    Key("strike", ("f",), "forget it as the card is left", "why", "strike"),
    Key("close", ("enter", "q"), "close it", "why", "leave"),
    Key("train_stop", ("s",), "stop it and keep the best so far", "training", "ask('stop')"),
    Key("train_abort", ("a",), "abort it and keep nothing of it", "training", "ask('abort')"),
    Key("train_report", ("enter", "r"), "the report, once it ended", "training", "report"),
    Key("train_pane", ("tab",), "to the log, or to the lessons", "training", "pane"),
    Key("try_before", ("left_square_bracket", "left"), "the try before", "training", "walk(-1)"),
    Key("try_after", ("right_square_bracket", "right"), "the try after", "training", "walk(1)"),
    Key("next_row", ("down",), "the row below", "list", "walk('cursor_down')", True),
    Key("previous_row", ("up",), "the row above", "list", "walk('cursor_up')", True),
    Key("next_page", ("pagedown",), "a page on", "list", "walk('page_down')", True),
    Key("previous_page", ("pageup",), "a page back", "list", "walk('page_up')", True),
    Key("choose", ("enter",), "take what is chosen", "list", "take", True),
    Key("rename_session", ("ctrl+r", "f2"), "give it another name", "sessions", "rename", True),
    Key("delete_session", ("ctrl+d",), "delete it; again: yes", "sessions", "delete", True),
    Key(
        "export_session",
        ("ctrl+e",),
        "write it to a file; again: the other form",
        "sessions",
        "export",
        True,
    ),
    Key("sift", ("slash",), "write words to sift them", "differences", "sift"),
    Key("edit_difference", ("e",), "change its words", "differences", "edit"),
    Key("pin_difference", ("p",), "pin it, or no longer", "differences", "pin"),
    Key("supersede", ("s",), "let another take its place", "differences", "supersede"),
    Key("forget", ("f",), "forget it for good; again: yes", "differences", "forget"),
    Key("first_side", ("1",), "another first side", "compare", "side(0)"),
    Key("second_side", ("2",), "another second side", "compare", "side(1)"),
    Key("blind", ("b",), "hide which is which, or no longer", "compare", "blind"),
    Key("first_better", ("left",), "the first is better", "compare", "better(0)"),
    Key("second_better", ("right",), "the second is better", "compare", "better(1)"),
    Key("tie", ("t",), "a tie", "compare", "better(2)"),
    Key("ask_again", ("enter",), "ask both again", "compare", "ask"),
    Key("other_prompt", ("slash",), "write another prompt", "compare", "prompt"),
    Key("take_better", ("m",), "mark with the better reply", "compare", "take"),
    Key("older_report", ("left_square_bracket", "left"), "the report before", "report", "walk(1)"),
    Key(
        "newer_report", ("right_square_bracket", "right"), "the report after", "report", "walk(-1)"
    ),
    Key("report_page", ("o",), "write the page with plots", "report", "page"),
    Key("close_report", ("q",), "close it", "report", "leave"),
    Key("close_context", ("enter", "q"), "close it", "context", "leave"),
)

FIXED: tuple[tuple[str, str], ...] = (
    ("↑ ↓", "earlier messages; in a menu: choose"),
    ("PgUp PgDn", "scroll; at the end it follows again"),
    ("1 … 9", "while a mark is said: its family, then its type"),
    ("e s h", "while a mark is said: error, surprise, hold"),
)
"""Keys that cannot be remapped."""
