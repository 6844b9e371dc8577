"""The registry of keys: what each one does, where, and which keys a person put in their place.

Bindings of the application, its screens and widgets are made from it, as are the Help screen, the
palette's hints and `docs/commands.md`. `[keys]` in `config.toml` remaps by id; a key that does not
exist, one that would eat what is written, and two actions on one key are refused with one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import punctuation

from textual.binding import Binding
from textual.keys import Keys, _character_to_key

from memory.errors import SettingsError

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
"""Places in which text is written, so that a bare letter cannot be a key."""
SCREENS = ("training", "list", "sessions", "differences", "compare", "report", "context")
"""Places that cover the chat, so that its keys are not looked for there."""
LISTS = ("sessions", "differences")
"""Screens whose list is walked by the keys of "list"."""


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a key does. `action` is Textual's; "" where the widget itself looks for the key."""

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
        ("ctrl+t",),
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

_BACK = "back"
"""The one key that leads back is the same everywhere."""
_LEFT = {
    **dict.fromkeys(("picker", "passage", "card", "why", "training", "report", "context"), False),
    **dict.fromkeys(("list", "compare"), True),
}
"""Places that it leaves, and whether it goes before a line in which text is written."""


class Keyboard:
    """The keys in force: the registry's, with a person's own in their place."""

    def __init__(self, own: Mapping[str, str] | None = None, source: str = "config.toml") -> None:
        """Read `[keys]` (id → keys parted by commas).

        Raises:
            SettingsError: an id or a key is unknown, or two actions would share a key.
        """
        self.keys = {key.id: key.keys for key in KEYS}
        for name, value in (own or {}).items():
            if name not in self.keys:
                raise SettingsError(
                    f"{source} has an unknown key keys.{name}; the actions are "
                    f"{', '.join(self.keys)}: mend or remove it"
                )
            self.keys[name] = tuple(_read(source, name, part) for part in value.split(","))
        self._refuse_clashes(source)

    @property
    def own(self) -> dict[str, str]:
        """What differs from the registry, as Textual's keymap."""
        return {
            key.id: ",".join(self.keys[key.id]) for key in KEYS if self.keys[key.id] != key.keys
        }

    def shown(self, name: str) -> str:
        """The keys of an action as a person reads them."""
        return " ".join(display(key) for key in self.keys[name])

    def first(self, name: str) -> str:
        """The first of them."""
        return display(self.keys[name][0])

    def does(self, name: str, key: str) -> bool:
        """Whether a pressed key asks for this action."""
        return key in self.keys[name]

    def knows(self, key: str) -> bool:
        """Whether a key stands for any action."""
        return any(key in keys for keys in self.keys.values())

    def of(self, where: str) -> set[str]:
        """Return all keys of a place."""
        return {name for key in KEYS if key.where == where for name in self.keys[key.id]}

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield (place, id, keys, help) of each action, in the registry's order."""
        for key in KEYS:
            yield PLACES[key.where], key.id, self.shown(key.id), key.help

    def _refuse_clashes(self, source: str) -> None:
        for number, one in enumerate(KEYS):
            for key in self.keys[one.id]:
                if one.where in WRITTEN and len(key) == 1:
                    raise SettingsError(
                        f"{source}: keys.{one.id} = {key!r} is refused, a letter alone is written "
                        f"into the message; take ctrl+{key.lower()} or alt+{key.lower()}"
                    )
            for other in KEYS[number + 1 :]:
                shared = set(self.keys[one.id]) & set(self.keys[other.id])
                if shared and _meet(one, other):
                    raise SettingsError(
                        f"{source}: keys.{one.id} and keys.{other.id} share {min(shared)!r}, so one "
                        "of them would never act; give one of them another key"
                    )


def bindings(where: str) -> list[Binding]:
    """Return the bindings of a place, with their ids; remapping is the application's keymap."""
    found = [
        Binding(
            ",".join(key.keys), key.action, key.help, show=False, priority=key.priority, id=key.id
        )
        for key in KEYS
        if key.where == where and key.action
    ]
    if where in _LEFT:
        found.append(
            Binding("escape", "leave", "Leave it", show=False, priority=_LEFT[where], id=_BACK)
        )
    return found


def display(key: str) -> str:
    """Return a key as a person reads it: `ctrl+j` is Ctrl+J, `up` is ↑."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    names = {
        "up": "↑",
        "down": "↓",
        "left": "←",
        "right": "→",
        "escape": "Esc",
        "pageup": "PgUp",
        "pagedown": "PgDn",
        "left_square_bracket": "[",
        "right_square_bracket": "]",
        "slash": "/",
    }
    plain = last.upper() if modifiers and len(last) == 1 else last
    plain = names.get(last, plain if len(last) == 1 else plain.replace("_", " ").capitalize())
    return "+".join([*(modifier.capitalize() for modifier in modifiers), plain])


def _meet(one: Key, other: Key) -> bool:
    """Whether two actions are ever looked for at once; a focused widget goes before the chat."""
    if one.where == other.where or "anywhere" in (one.where, other.where):
        return True
    if _BACK in (one.id, other.id) and {one.where, other.where} & {*_LEFT, *LISTS}:
        return True
    if "list" in (one.where, other.where):
        return {one.where, other.where} <= {"list", *LISTS}
    if one.where in SCREENS or other.where in SCREENS:
        return False
    outer, inner = (one, other) if one.where == "chat" else (other, one)
    return outer.where == "chat" and (outer.priority or inner.where == "reply")


_NAMES = frozenset(
    key.value for key in Keys if "+" not in key.value and not key.value.startswith("<")
) | {_character_to_key(sign) for sign in punctuation}
_MODIFIERS = ("alt", "ctrl", "shift", "super")


def _read(source: str, name: str, text: str) -> str:
    *modifiers, last = [part.strip() for part in text.strip().lower().split("+")]
    if len(text.strip()) == 1:
        modifiers, last = [], text.strip()
    named = last in _NAMES or (len(last) == 1 and last.isprintable() and not last.isspace())
    if not named or any(modifier not in _MODIFIERS for modifier in modifiers):
        raise SettingsError(
            f"{source}: keys.{name} = {text.strip()!r} is refused, it should be a key such as ctrl+k, "
            "alt+up or f2, several parted by commas; mend that value"
        )
    if len(last) == 1 and not last.isalnum():
        last = _character_to_key(last)
    return "+".join([*sorted(set(modifiers)), last])


def keyboard_of(app: object) -> Keyboard:
    """Return the keys in force in an application; those of the registry in one of no keyboard."""
    keyboard = getattr(app, "keyboard", None)
    return keyboard if isinstance(keyboard, Keyboard) else _DEFAULT


_DEFAULT = Keyboard()


def hints(keyboard: Keyboard, pairs: Sequence[tuple[str, str]]) -> str:
    """Return a line of key hints: (id, word) pairs; a key without a word shares that of the next."""
    line = "".join(
        f"{keyboard.first(name)} {word} · " if word else f"{keyboard.first(name)} "
        for name, word in pairs
    )
    return line.removesuffix(" · ")
