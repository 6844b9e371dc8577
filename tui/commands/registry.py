"""The registry of slash commands, from which completion, /help, the palette and the docs are made.

A command names its handler as `subject.method` of `tui.chat.handlers.command_handlers.CommandHandlers`;
a test compares both. Completion is in `tui/commands/completion.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command; `argument` is shown after the name, "" if it takes none."""

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
        "mark the reply: what is wrong, and the better answer",
        "Marks the last reply (or the chosen one). Bare it marks a surprise; after => stands how the "
        "reply should have sounded, and that is what is trained.",
        "marks.diff",
        "[error|surprise|hold] [kind] [note] [=> how it should sound]",
        ("mark",),
        (
            ("error", "the reply is wrong"),
            ("surprise", "the reply was not what you expected"),
            ("hold", "the reply is good: keep answering like this"),
        ),
    ),
    Command(
        "undo",
        "undo the last mark",
        "Takes back the mark made last; the talk stays as it is.",
        "marks.undo",
    ),
    Command(
        "contrast",
        "what it got wrong, what it left out, the better answer",
        "Opens the three lines of a mark; the model drafts what is empty, and you keep or leave it.",
        "marks.contrast",
        "[ID]",
    ),
    Command(
        "train",
        "train on the waiting differences now",
        "Trains an adapter on the marked differences, tests it, and swaps it in if it holds.",
        "training.train",
        "[stop|abort|force]",
        words=(
            ("stop", "stop now; the best result so far is kept if it passes"),
            ("abort", "stop now and discard everything"),
            ("force", "train even if nothing changed"),
        ),
    ),
    Command(
        "training",
        "watch the training: phases, loss, lessons, log",
        "Opens the training under way, whoever began it, from its beginning: phases, loss, how each "
        "lesson stands, the log; s stops it and keeps the best, a aborts it. When nothing trains it "
        "shows the last one.",
        "training.training",
    ),
    Command(
        "adapters",
        "list and switch adapters: use ID, on, off, rollback",
        "Lists the adapters; `use ID` serves one, `off` the base till `on`, `rollback` goes back.",
        "adapters.adapters",
        "[use ID|on|off|rollback]",
        ("adapter",),
        (
            ("use", "use this adapter"),
            ("off", "turn adapters off: use the base model only"),
            ("on", "turn adapters back on"),
            ("rollback", "go back to the previous adapter"),
        ),
    ),
    Command(
        "recall",
        "turn recall of past differences on or off",
        "Switches recall; without a word it says how it stands.",
        "recall.recall",
        "[on|off]",
        words=(
            ("on", "add relevant differences to the context"),
            ("off", "do not add differences to the context"),
        ),
    ),
    Command(
        "why",
        "show what was recalled for the reply; pin or forget it",
        "Shows the differences that stood in the context of the last (or the chosen) reply, with how "
        "well they fitted; p pins one, f forgets it.",
        "recall.why",
    ),
    Command(
        "memory",
        "view and manage differences: show, edit, pin, forget ID",
        "Opens what was marked and where each difference stands, sifted by words (a kind, a state, any "
        "text), to edit, pin, supersede or forget; `forget ID` removes one for good, with the turn it "
        "was marked in.",
        "memory.memory",
        "[WORDS|show|edit|pin|unpin|forget ID]",
        ("differences",),
        words=(
            ("show", "show a difference in full"),
            ("edit", "edit its text; the earlier version is kept"),
            ("pin", "recall it first when relevant"),
            ("unpin", "unpin it"),
            ("forget", "forget it permanently, with its turn"),
        ),
    ),
    Command(
        "retry",
        "ask the last (or selected) message again",
        "Asks the message of the last (or the chosen) reply again, as a branch; the reply before is "
        "kept beside it and walked to with [ and ].",
        "messages.retry",
        aliases=("again",),
    ),
    Command(
        "edit",
        "edit the last (or selected) message and ask again",
        "Puts the message of the last (or the chosen) reply into the input; sending it begins a "
        "branch, Esc leaves everything as it was.",
        "messages.edit",
    ),
    Command(
        "context",
        "show what the model sees for the next message",
        "Shows the prompt of the next message (what is written after it, else the draft): its parts "
        "with their tokens, what is recalled, and what no longer fits.",
        "messages.context",
        "[MESSAGE]",
    ),
    Command(
        "new", "start a new thread", "Begins a new thread; the old one is kept.", "threads.new"
    ),
    Command(
        "threads", "list the threads", "Lists the threads, the latest first.", "threads.threads"
    ),
    Command(
        "sessions",
        "search all conversations; rename, delete, export",
        "Opens all past talk: write to search it, Enter goes on in the chosen thread. Keys rename it, "
        "delete it (its marks stay) and write it to a file as Markdown or JSON.",
        "threads.sessions",
        "[WORDS]",
    ),
    Command(
        "thread",
        "switch to another thread",
        "Goes on in the named thread; a new name begins one.",
        "threads.thread",
        "NAME",
    ),
    Command(
        "compare",
        "compare base, adapters, recall on or off, side by side",
        "Asks two ways of answering the same, by default the message of the last (or chosen) reply: "
        "1 and 2 change the sides, b makes it blind, and the better reply can become a mark.",
        "compare.compare",
        "[PROMPT]",
    ),
    Command(
        "report",
        "browse training reports",
        "Opens the reports, the latest first; [ and ] walk them, o writes the page with plots.",
        "training.report",
    ),
    Command(
        "theme",
        "choose a color theme",
        "Changes the colours and keeps the choice; without a name it opens all themes.",
        "application.theme",
        "[NAME]",
    ),
    Command(
        "help",
        "show commands and keys",
        "Opens all commands, keys and signs; writing sifts them, Enter takes a command.",
        "application.help",
        aliases=("?", "keys"),
    ),
    Command(
        "quit", "leave", "Leaves; everything is kept.", "application.quit", aliases=("exit", "q")
    ),
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A line that begins with a slash: its command (None if unknown) and argument."""

    name: str
    argument: str
    command: Command | None
    nearest: str | None = field(default=None)


def find(name: str) -> Command | None:
    """Return the command with this name or alias."""
    wanted = name.lower()
    for command in COMMANDS:
        if wanted == command.name or wanted in command.aliases:
            return command
    return None


def parse(line: str) -> Parsed | None:
    """Parse a line of input; return None for a message.

    A path or fraction that begins with a slash (`/etc/hosts is…`, `//`) is a message.
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


def found(typed: str) -> list[Command]:
    """Return the commands that match what was typed, best first; "" matches all."""
    typed = typed.lower()
    ranked = [(_rank(command, typed), number) for number, command in enumerate(COMMANDS)]
    likely = [COMMANDS[number] for rank, number in sorted(ranked) if rank < _FAR]
    if likely or len(typed) < 3:
        return likely
    names = {name: item for item in COMMANDS for name in (item.name, *item.aliases)}
    near = get_close_matches(typed, names, n=3, cutoff=0.6)
    return list(dict.fromkeys(names[name] for name in near))


_FAR = 9


def _rank(command: Command, typed: str) -> int:
    """Return how badly a command matches: by name, prefix, letters in order, or hint."""
    names = (command.name, *command.aliases)
    if typed in names:
        return 0
    if command.name.startswith(typed):
        return 1
    if any(name.startswith(typed) for name in names):
        return 2
    if typed in command.name:
        return 3
    if in_order(typed, command.name):
        return 4 if command.name[0] == typed[0] else 5
    told = command.hint.lower().replace(",", " ").split()
    return 6 if len(typed) >= 3 and any(word.startswith(typed) for word in told) else _FAR


def in_order(letters: str, word: str) -> bool:
    """Return whether the letters occur in the word in this order."""
    rest = iter(word)
    return all(letter in rest for letter in letters)
