"""The registry of slash commands; completion, /help, the palette and the keys' help are made from it.

A command names a method of `tui.handlers.Handlers`; a test holds the two together. What a command's
argument may be is completed by `complete`, which asks `Sources` for what only the open chat knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command. `argument` is shown after the name; "" means that it takes none."""

    name: str
    hint: str
    help: str
    handler: str
    argument: str = ""
    aliases: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    """Words that may follow, each with a hint."""

    @property
    def usage(self) -> str:
        """The command as it is typed."""
        return f"/{self.name} {self.argument}".rstrip()


COMMANDS: tuple[Command, ...] = (
    Command(
        "diff",
        "mark the reply: what broke, how it should sound",
        "Marks the last reply (or the chosen one). Bare it marks a surprise; after => stands how the "
        "reply should have sounded, and that is what is trained.",
        "diff",
        "[error|surprise|hold] [kind] [note] [=> how it should sound]",
        ("mark",),
        (
            ("error", "the reply is wrong"),
            ("surprise", "the reply broke an expectation"),
            ("hold", "the reply carried the difference well"),
        ),
    ),
    Command(
        "undo",
        "take the last mark back",
        "Takes back the mark made last; the talk stays as it is.",
        "undo",
    ),
    Command(
        "contrast",
        "write what was missed, lost, and how it sounds",
        "Opens the three lines of a mark; the model drafts what is empty, and you keep or leave it.",
        "contrast",
        "[ID]",
    ),
    Command(
        "train",
        "learn the waiting differences now",
        "Trains an adapter on the marked differences, tests it, and swaps it in if it holds.",
        "train",
        "[stop]",
        words=(("stop", "ask the training to stop"), ("force", "train even if nothing changed")),
    ),
    Command(
        "adapters",
        "list, use ID, on, off, rollback",
        "Lists the adapters; `use ID` serves one, `off` the base till `on`, `rollback` goes back.",
        "adapters",
        "[use ID|on|off|rollback]",
        ("adapter",),
        (
            ("use", "serve with this adapter"),
            ("off", "serve the base model alone until `on`"),
            ("on", "serve again what waits since `off`"),
            ("rollback", "go back to what served before"),
        ),
    ),
    Command(
        "recall",
        "put past differences into the context, or not",
        "Switches recall; without a word it says how it stands.",
        "recall",
        "[on|off]",
        words=(("on", "recall what bears on a message"), ("off", "answer from the weights alone")),
    ),
    Command(
        "why",
        "what was recalled for the reply, to pin or forget",
        "Shows the differences that stood in the context of the last (or the chosen) reply, with how "
        "well they fitted; p pins one, f forgets it.",
        "why",
    ),
    Command(
        "memory",
        "list the differences; show, edit, pin, forget ID",
        "Lists what was marked and where each difference stands; `forget ID` removes one for good, "
        "with the turn it was marked in.",
        "memory",
        "[show|edit|pin|unpin|forget ID]",
        words=(
            ("show", "all of a difference"),
            ("edit", "change its words; the older version is kept"),
            ("pin", "recall it first where it fits"),
            ("unpin", "no longer first"),
            ("forget", "remove it for good, with its turn"),
        ),
    ),
    Command("new", "begin a new thread", "Begins a new thread; the old one is kept.", "new"),
    Command("threads", "list the threads", "Lists the threads, the latest first.", "threads"),
    Command(
        "sessions",
        "search all past talk and go on in it",
        "Opens all past talk: write to search it, Enter goes on in the chosen thread, Esc comes back.",
        "sessions",
        "[WORDS]",
    ),
    Command(
        "thread",
        "go on in another thread",
        "Goes on in the named thread; a new name begins one.",
        "thread",
        "NAME",
    ),
    Command(
        "report",
        "what the last training found",
        "Shows the report of the last training run.",
        "report",
    ),
    Command("help", "commands and keys", "Shows this.", "help", aliases=("?", "keys")),
    Command("quit", "leave", "Leaves; everything is kept.", "quit", aliases=("exit", "q")),
)

KEYS: tuple[tuple[str, str], ...] = (
    ("Enter", "send"),
    ("Ctrl+J, Shift+Enter", "break the line"),
    ("↑ ↓", "earlier messages"),
    ("Tab", "complete a command"),
    ("Esc", "stop the reply and keep what was said; dismiss a hint"),
    ("Alt+↑ Alt+↓", "choose a reply: d mark, u undo, c contrast, w why"),
    ("PgUp PgDn", "scroll; at the end it follows again"),
    ("Ctrl+T", "the training panel; Esc there stops it"),
    ("Ctrl+P", "all commands"),
    ("Ctrl+C twice", "leave (once copies what is selected)"),
)


def commands_page() -> str:
    """Return `docs/commands.md`: every command and key, from the registry."""
    lines = [
        "# Commands and keys of the chat",
        "",
        "Made from `tui/commands.py`; a test holds them together.",
    ]
    for command in COMMANDS:
        lines += ["", f"## `{command.usage}`", "", command.help]
        if command.aliases:
            lines += ["", "Also: " + ", ".join(f"`/{name}`" for name in command.aliases) + "."]
        if command.words:
            lines += ["", *(f"- `{word}`: {hint}" for word, hint in command.words)]
    lines += ["", "## Keys", "", "| key | what it does |", "|---|---|"]
    lines += [f"| {keys} | {effect} |" for keys, effect in KEYS]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Sources:
    """What only the open chat knows: each gives (word, hint) pairs."""

    kinds: Callable[[], Iterable[tuple[str, str]]] = tuple
    adapters: Callable[[], Iterable[tuple[str, str]]] = tuple
    differences: Callable[[], Iterable[tuple[str, str]]] = tuple
    threads: Callable[[], Iterable[tuple[str, str]]] = tuple


@dataclass(frozen=True, slots=True)
class Completion:
    """One offer: the text the input becomes, what the menu shows, and whether Enter may send it."""

    text: str
    label: str
    hint: str
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A line that begins with a slash: its command (None: unknown) and what follows."""

    name: str
    argument: str
    command: Command | None
    nearest: str | None = field(default=None)


def find(name: str) -> Command | None:
    """Return the command of that name or alias."""
    wanted = name.lower()
    for command in COMMANDS:
        if wanted == command.name or wanted in command.aliases:
            return command
    return None


def parse(line: str) -> Parsed | None:
    """Read a line of input; None when it is a message and no command.

    A path or a fraction that merely begins with a slash (`/etc/hosts is…`, `//`) is a message.
    """
    if not line.startswith("/"):
        return None
    name, _, argument = line[1:].partition(" ")
    name, newline, below = name.partition("\n")
    argument = f"{below} {argument}" if newline else argument
    if not (name == "?" or name.replace("-", "").isalpha()):
        return None if name else Parsed("", "", None)
    command = find(name)
    nearest = None
    if command is None:
        names = [item for entry in COMMANDS for item in (entry.name, *entry.aliases)]
        found = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        nearest = found[0] if found else None
    return Parsed(name, argument.strip(), command, nearest)


def complete(line: str, sources: Sources | None = None) -> list[Completion]:
    """Return what the line may become; nothing for a message."""
    if not line.startswith("/") or "\n" in line:
        return []
    name, space, rest = line[1:].partition(" ")
    if not space:
        return _names(name.lower())
    command = find(name)
    if command is None or "=>" in rest:
        return []
    return _arguments(command, name, rest, sources or Sources())


def _names(typed: str) -> list[Completion]:
    def rank(command: Command) -> int | None:
        names = (command.name, *command.aliases)
        if any(name.startswith(typed) for name in names):
            return 0
        return 1 if _in_order(typed, command.name) else None

    ranked = [(rank(command), number) for number, command in enumerate(COMMANDS)]
    order = sorted((place, number) for place, number in ranked if place is not None)
    return [
        Completion(
            f"/{command.name}" + (" " if command.argument else ""),
            f"/{command.name}",
            command.hint,
            ready=not command.argument or typed in (command.name, *command.aliases),
        )
        for command in (COMMANDS[number] for _, number in order)
    ]


def _arguments(command: Command, name: str, rest: str, sources: Sources) -> list[Completion]:
    *before, last = [rest] if command.name == "thread" else rest.split(" ")
    offers: Sequence[tuple[str, str]] = ()
    more = False
    if not before:
        offers = command.words
        more = command.name in ("diff",)
        if command.name == "contrast":
            offers = tuple(sources.differences())
        if command.name == "thread":
            offers = tuple(sources.threads())
    elif command.name == "diff" and len(before) == 1 and before[0].lower() in _MOMENTS:
        offers, more = tuple(sources.kinds()), True
    elif before == ["use"] and command.name == "adapters":
        offers = tuple(sources.adapters())
    elif len(before) == 1 and before[0] in _OF_MEMORY and command.name == "memory":
        offers = tuple(sources.differences())
    start = " ".join([f"/{name}", *before])
    typed = last.lower()
    chosen = [offer for offer in offers if offer[0].lower().startswith(typed)]
    chosen += [
        offer for offer in offers if offer not in chosen and typed and typed in offer[0].lower()
    ]
    return [
        Completion(
            f"{start} {word}" + (" " if more or word in _WANT_MORE else ""),
            word,
            hint,
            ready=word not in _WANT_MORE,
        )
        for word, hint in chosen
        if word != last
    ]


_MOMENTS = ("error", "surprise", "hold")
_OF_MEMORY = ("show", "edit", "pin", "unpin", "forget")
_WANT_MORE = ("use", *_OF_MEMORY)


def _in_order(letters: str, word: str) -> bool:
    rest = iter(word)
    return all(letter in rest for letter in letters)
