"""The active keys (defaults and the user's own), their bindings and hints.

Unknown keys, keys that would capture typed text, and two actions on one key are errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import punctuation

from textual.binding import Binding
from textual.keys import Keys

from memory.errors import SettingsError
from tui.keys.registry import KEYS, LISTS, PLACES, SCREENS, TYPING, Key
from tui.terminal.textual_patches.dispatch import key_name

_BACK = "back"
"""The id of the key that goes back; it is the same everywhere."""
_LEAVABLE = {
    **dict.fromkeys(("picker", "passage", "card", "why", "training", "report", "context"), False),
    **dict.fromkeys(("list", "compare"), True),
}
"""Places that this key leaves, and whether it takes precedence over a text input there."""


class Keyboard:
    """The active keys: the registry's defaults, overridden by the user's own."""

    def __init__(self, own: Mapping[str, str] | None = None, source: str = "config.toml") -> None:
        """Read `[keys]`: an action's id and its keys, separated by commas.

        Raises:
            SettingsError: an id or a key is unknown, or two actions would share a key.
        """
        self.keys = {key.id: key.keys for key in KEYS}
        for name, value in (own or {}).items():
            if name not in self.keys:
                raise SettingsError(
                    "{source}: keys.{name} is not an action; remove it or use one of {keys}",
                    source=source,
                    name=name,
                    keys=", ".join(self.keys),
                )
            self.keys[name] = tuple(_read(source, name, part) for part in value.split(","))
        self._refuse_clashes(source)

    @property
    def own(self) -> dict[str, str]:
        """The keys that differ from the registry, as a Textual keymap."""
        return {
            key.id: ",".join(self.keys[key.id]) for key in KEYS if self.keys[key.id] != key.keys
        }

    def shown(self, name: str) -> str:
        """Return the keys of an action as they are displayed."""
        return " ".join(display(key) for key in self.keys[name])

    def first(self, name: str) -> str:
        """Return the first key of an action as it is displayed."""
        return display(self.keys[name][0])

    def does(self, name: str, key: str) -> bool:
        """Return whether a pressed key triggers this action."""
        return key in self.keys[name]

    def knows(self, key: str) -> bool:
        """Return whether a key triggers any action."""
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
                if one.where in TYPING and len(key) == 1:
                    raise SettingsError(
                        "{source}: keys.{id} = {key!r} cannot be used, because a single letter is "
                        "typed into the message; use ctrl+{letter} or alt+{letter}",
                        source=source,
                        id=one.id,
                        key=key,
                        letter=key.lower(),
                    )
            for other in KEYS[number + 1 :]:
                shared = set(self.keys[one.id]) & set(self.keys[other.id])
                if shared and _compete(one, other):
                    raise SettingsError(
                        "{source}: keys.{id} and keys.{other} both use {shared!r}, so only one of "
                        "them would work; assign another key to one of them",
                        source=source,
                        id=one.id,
                        other=other.id,
                        shared=min(shared),
                    )


def bindings(where: str) -> list[Binding]:
    """Return the Textual bindings of a place; the application's keymap remaps them by id."""
    found = [
        Binding(
            ",".join(key.keys), key.action, key.help, show=False, priority=key.priority, id=key.id
        )
        for key in KEYS
        if key.where == where and key.action
    ]
    if where in _LEAVABLE:
        found.append(
            Binding("escape", "leave", "Leave", show=False, priority=_LEAVABLE[where], id=_BACK)
        )
    return found


def display(key: str) -> str:
    """Return a key as it is displayed: `ctrl+j` is Ctrl+J, `up` is ↑."""
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


def _compete(one: Key, other: Key) -> bool:
    """Return whether two actions can compete for a key; a focused widget takes precedence."""
    if one.where == other.where or "anywhere" in (one.where, other.where):
        return True
    if _BACK in (one.id, other.id) and {one.where, other.where} & {*_LEAVABLE, *LISTS}:
        return True
    if "list" in (one.where, other.where):
        return {one.where, other.where} <= {"list", *LISTS}
    if one.where in SCREENS or other.where in SCREENS:
        return False
    outer, inner = (one, other) if one.where == "chat" else (other, one)
    return outer.where == "chat" and (outer.priority or inner.where == "reply")


_NAMES = frozenset(
    key.value for key in Keys if "+" not in key.value and not key.value.startswith("<")
) | {key_name(sign) for sign in punctuation}
_MODIFIERS = ("alt", "ctrl", "shift", "super")


def _read(source: str, name: str, text: str) -> str:
    *modifiers, last = [part.strip() for part in text.strip().lower().split("+")]
    if len(text.strip()) == 1:
        modifiers, last = [], text.strip()
    named = last in _NAMES or (len(last) == 1 and last.isprintable() and not last.isspace())
    if not named or any(modifier not in _MODIFIERS for modifier in modifiers):
        raise SettingsError(
            "{source}: keys.{name} = {text!r} is not a key; use a key such as ctrl+k, alt+up or "
            "f2, or several separated by commas",
            source=source,
            name=name,
            text=text.strip(),
        )
    if len(last) == 1 and not last.isalnum():
        last = key_name(last)
    return "+".join([*sorted(set(modifiers)), last])


def keyboard_of(app: object) -> Keyboard:
    """Return the active keys of an application, by default those of the registry."""
    keyboard = getattr(app, "keyboard", None)
    return keyboard if isinstance(keyboard, Keyboard) else _DEFAULT


_DEFAULT = Keyboard()


def hints(keyboard: Keyboard, pairs: Sequence[tuple[str, str]]) -> str:
    """Return a line of key hints from (id, word) pairs; a key without a word shares the next one's."""
    line = "".join(
        f"{keyboard.first(name)} {word} · " if word else f"{keyboard.first(name)} "
        for name, word in pairs
    )
    return line.removesuffix(" · ")
