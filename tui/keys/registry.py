"""The registry of keys: their actions and places.

The bindings (`tui/keys/bindings.py`), the Help screen, the hints of the palette and `docs/commands.md`
are generated from it. `[keys]` in `config.toml` remaps keys by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLACES: Mapping[str, str] = {
    "anywhere": "anywhere",
    "chat": "in the chat",
    "input": "in the message input",
    "reply": "with a reply selected",
    "passage": "while selecting words of a reply",
    "picker": "while marking",
    "card": "in the contrast card",
    "why": "in the /why card",
    "training": "on the training screen",
    "list": "in lists",
    "sessions": "in the list of sessions",
    "differences": "in the list of differences",
    "compare": "on the comparison screen",
    "report": "in a report",
    "context": "on the context screen",
}
"""Places where keys apply, as Help shows them."""
TYPING = ("anywhere", "chat", "input", "card", "list", "sessions")
"""Places where text is typed, so that a single letter cannot be a key."""
SCREENS = ("training", "list", "sessions", "differences", "compare", "report", "context")
"""Places that cover the chat, so that its keys do not apply there."""
LISTS = ("sessions", "differences")
"""Screens with a list, where the keys of "list" apply too."""


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
    Key("help", ("f1",), "show commands and keys", "anywhere", "help"),
    Key("palette", ("ctrl+p",), "open the command palette", "anywhere", "command_palette", True),
    Key(
        "copy_or_leave",
        ("ctrl+c",),
        "copy the selection; press twice to quit",
        "anywhere",
        "copy_or_leave",
        True,
    ),
    Key("leave", ("ctrl+q",), "quit", "anywhere", "leave", True),
    Key("back", ("escape",), "stop the reply and keep its text; go back", "chat", "back"),
    Key("earlier_reply", ("alt+up",), "select the previous reply", "chat", "walk(-1)", True),
    Key("later_reply", ("alt+down",), "select the next reply", "chat", "walk(1)", True),
    Key(
        "mark_now",
        ("alt+d",),
        "mark the selected text, else the selected or last reply",
        "chat",
        "mark_now",
        True,
    ),
    Key(
        "training",
        ("ctrl+t", "f4"),
        "watch, stop or abort the training",
        "chat",
        "training",
        True,
    ),
    Key("send", ("enter",), "send", "input"),
    Key("newline", ("ctrl+j", "shift+enter", "alt+enter"), "insert a line break", "input"),
    Key("editor", ("ctrl+g",), "edit the draft in $EDITOR", "input", "editor", True),
    Key("complete", ("tab",), "complete a command", "input"),
    Key("mark", ("d",), "mark it: digits choose the kind, Enter skips", "reply", "mark"),
    Key("passage", ("v",), "select words in it", "reply", "passage"),
    Key("unmark", ("u",), "undo its last mark", "reply", "unmark"),
    Key("contrast", ("c",), "edit the contrast of its mark", "reply", "contrast"),
    Key("why", ("w",), "show what was recalled for it", "reply", "why"),
    Key("thought", ("t",), "show or hide its reasoning", "reply", "thought"),
    Key("edit", ("e",), "edit its message and ask again, as a branch", "reply", "edit"),
    Key("retry", ("r",), "ask its message again", "reply", "retry"),
    Key(
        "branch_before",
        ("left_square_bracket", "alt+left"),
        "previous branch",
        "reply",
        "branch(-1)",
    ),
    Key(
        "branch_after",
        ("right_square_bracket", "alt+right"),
        "next branch",
        "reply",
        "branch(1)",
    ),
    Key("copy", ("y",), "copy its source text", "reply", "copy"),
    Key("copy_code", ("Y",), "copy its code; press again for the next block", "reply", "copy_code"),
    Key("next_word", ("right",), "next word", "passage", "move(1)"),
    Key("previous_word", ("left",), "previous word", "passage", "move(-1)"),
    Key("next_line", ("down",), "next line", "passage", "line(1)"),
    Key("previous_line", ("up",), "previous line", "passage", "line(-1)"),
    Key("grow", ("v", "space"), "start or end the selection here", "passage", "grow"),
    Key("grow_right", ("shift+right",), "select one word right", "passage", "move(1, True)"),
    Key("grow_left", ("shift+left",), "select one word left", "passage", "move(-1, True)"),
    Key("grow_down", ("shift+down",), "select one line down", "passage", "line(1, True)"),
    Key("grow_up", ("shift+up",), "select one line up", "passage", "line(-1, True)"),
    Key("mark_passage", ("d", "enter"), "mark the selected words", "passage", "take"),
    Key("skip", ("enter",), "skip this step; save at the last one", "picker", "skip"),
    Key("step_back", ("backspace",), "go back one step", "picker", "back"),
    Key("keep", ("ctrl+s",), "save the card", "card", "keep", True),
    Key("why_up", ("up",), "previous row", "why", "move(-1)"),
    Key("why_down", ("down",), "next row", "why", "move(1)"),
    Key("pin", ("p",), "pin or unpin it", "why", "pin"),
    Key("strike", ("f",), "forget it when the card closes", "why", "strike"),
    Key("close", ("enter", "q"), "close", "why", "leave"),
    Key(
        "train_stop",
        ("s",),
        "stop the training and keep the best result so far",
        "training",
        "ask('stop')",
    ),
    Key(
        "train_abort",
        ("a",),
        "abort the training and discard everything",
        "training",
        "ask('abort')",
    ),
    Key(
        "train_report",
        ("enter", "r"),
        "open the report when the training has ended",
        "training",
        "report",
    ),
    Key("train_pane", ("tab",), "switch between the log and the lessons", "training", "pane"),
    Key("try_before", ("left_square_bracket", "left"), "previous trial", "training", "walk(-1)"),
    Key("try_after", ("right_square_bracket", "right"), "next trial", "training", "walk(1)"),
    Key("next_row", ("down",), "next row", "list", "walk('cursor_down')", True),
    Key("previous_row", ("up",), "previous row", "list", "walk('cursor_up')", True),
    Key("next_page", ("pagedown",), "next page", "list", "walk('page_down')", True),
    Key("previous_page", ("pageup",), "previous page", "list", "walk('page_up')", True),
    Key("choose", ("enter",), "choose the highlighted row", "list", "take", True),
    Key("rename_session", ("ctrl+r", "f2"), "rename the thread", "sessions", "rename", True),
    Key(
        "delete_session",
        ("ctrl+d",),
        "delete it; press again to confirm",
        "sessions",
        "delete",
        True,
    ),
    Key(
        "export_session",
        ("ctrl+e",),
        "export it to a file; press again for the other format",
        "sessions",
        "export",
        True,
    ),
    Key("sift", ("slash",), "filter the list", "differences", "sift"),
    Key("edit_difference", ("e",), "edit its text", "differences", "edit"),
    Key("pin_difference", ("p",), "pin or unpin it", "differences", "pin"),
    Key("supersede", ("s",), "replace it with another difference", "differences", "supersede"),
    Key("forget", ("f",), "forget it permanently; press again to confirm", "differences", "forget"),
    Key("first_side", ("1",), "change the first side", "compare", "side(0)"),
    Key("second_side", ("2",), "change the second side", "compare", "side(1)"),
    Key("blind", ("b",), "turn blind comparison on or off", "compare", "blind"),
    Key("first_better", ("left",), "the first reply is better", "compare", "better(0)"),
    Key("second_better", ("right",), "the second reply is better", "compare", "better(1)"),
    Key("tie", ("t",), "a tie", "compare", "better(2)"),
    Key("ask_again", ("enter",), "ask both sides again", "compare", "ask"),
    Key("other_prompt", ("slash",), "enter another prompt", "compare", "prompt"),
    Key("take_better", ("m",), "make a mark from the better reply", "compare", "take"),
    Key("older_report", ("left_square_bracket", "left"), "older report", "report", "walk(1)"),
    Key("newer_report", ("right_square_bracket", "right"), "newer report", "report", "walk(-1)"),
    Key("report_page", ("o",), "write a page with plots", "report", "page"),
    Key("close_report", ("q",), "close", "report", "leave"),
    Key("close_context", ("enter", "q"), "close", "context", "leave"),
)

FIXED: tuple[tuple[str, str], ...] = (
    ("↑ ↓", "earlier messages; in a menu, move the selection"),
    ("PgUp PgDn", "scroll; at the end, follow the reply again"),
    ("1 … 9", "while marking: family, then type"),
    ("e s h", "while marking: error, surprise, hold"),
    ("w", "while marking: for this question, its subject or every reply"),
)
"""Keys that cannot be remapped."""
