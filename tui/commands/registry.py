"""The registry of slash commands, used by completion, /help, the palette and the docs.

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
        "Marks the last (or selected) reply. Without arguments, it marks a surprise. The text after "
        "=> is the better answer; only marks with one are trained on. With scope:topic or "
        "scope:everywhere, or when: and a condition, it is about more replies than this one, and "
        "stays in their context. rule: sets what replies must keep, such as rule: at most 40 words.",
        "marks.diff",
        "[error|surprise|hold] [kind] [note] [scope:everywhere] [=> better answer]",
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
        "Undoes the last mark. The conversation does not change.",
        "marks.undo",
    ),
    Command(
        "contrast",
        "what it got wrong, what it left out, the better answer",
        "Opens the contrast of a mark. The model drafts the empty lines, which you can edit.",
        "marks.contrast",
        "[ID]",
    ),
    Command(
        "train",
        "train now: learn from the waiting differences",
        "Trains an adapter on the marked differences, evaluates it, and uses it if it passes.",
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
        "Opens the running training, including one started by another process: phases, loss, the "
        "state of each lesson, log. s stops it and keeps the best result, a aborts it. If no "
        "training is running, it shows the last one.",
        "training.training",
    ),
    Command(
        "adapters",
        "list and switch adapters: use ID, on, off, rollback",
        "Lists the adapters. `use ID` selects one, `off` uses only the base model until `on`, and "
        "`rollback` returns to the previous adapter.",
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
        "Turns recall on or off. Without an argument, it shows the current state.",
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
        "Shows the differences in the context of the last (or selected) reply, with their relevance. "
        "p pins one, f forgets it.",
        "recall.why",
    ),
    Command(
        "memory",
        "view and manage differences: show, edit, pin, forget ID",
        "Opens the list of differences with their states. Filter it by kind, state or any text; edit, "
        "pin, supersede or forget differences. `forget ID` permanently removes a difference and its "
        "turn.",
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
        "Asks the message of the last (or selected) reply again, as a new branch. The earlier reply is "
        "kept; [ and ] switch between branches.",
        "messages.retry",
        aliases=("again",),
    ),
    Command(
        "edit",
        "edit the last (or selected) message and ask again",
        "Puts the message of the last (or selected) reply into the input. Sending it starts a branch; "
        "Esc cancels.",
        "messages.edit",
    ),
    Command(
        "context",
        "show what the model sees for the next message",
        "Shows the prompt for the next message (the argument, else the draft): its parts with their "
        "token counts, what is recalled, and what no longer fits.",
        "messages.context",
        "[MESSAGE]",
    ),
    Command(
        "new", "start a new thread", "Starts a new thread. The old one is kept.", "threads.new"
    ),
    Command("threads", "list the threads", "Lists the threads, newest first.", "threads.threads"),
    Command(
        "sessions",
        "search all conversations; rename, delete, export",
        "Opens the list of all threads. Type to search their messages; Enter opens the highlighted "
        "thread. Keys rename it, delete it (its marks stay), or export it as Markdown or JSON.",
        "threads.sessions",
        "[WORDS]",
    ),
    Command(
        "thread",
        "switch to another thread",
        "Switches to the named thread. A new name starts a new thread.",
        "threads.thread",
        "NAME",
    ),
    Command(
        "compare",
        "compare base, adapters, recall on or off, side by side",
        "Sends one prompt to two sides, by default the message of the last (or selected) reply. 1 and "
        "2 change the sides, b hides their names, and the better reply can become a mark.",
        "compare.compare",
        "[PROMPT]",
    ),
    Command(
        "report",
        "browse training reports",
        "Opens the reports, newest first. [ and ] move between them, o writes a page with plots.",
        "training.report",
    ),
    Command(
        "theme",
        "choose a color theme",
        "Changes the color theme and saves the choice. Without a name, it lists all themes.",
        "application.theme",
        "[NAME]",
    ),
    Command(
        "help",
        "show commands and keys",
        "Lists all commands, keys and signs. Type to filter; Enter inserts a command, or runs it if it "
        "takes no argument.",
        "application.help",
        aliases=("?", "keys"),
    ),
    Command(
        "quit", "quit", "Quits. Everything is saved.", "application.quit", aliases=("exit", "q")
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
    """Return the rank of a match, 0 is best: by name, prefix, letters in order, or hint."""
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
