"""The `discern` command: find the subcommand, run it, and print errors as one sentence.

Exit codes: 0 success (also: nothing to train), 1 a check failed, 2 bad input or a broken file, 130
interrupted, 143 and 129 terminated by SIGTERM and SIGHUP. Subcommands are imported only when they
are called, so that `--help` is fast.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

from memory.errors import DiscernError
from memory.settings.paths import set_private_umask
from tui.cli.completion_values import model_files
from tui.cli.shared_options import continue_option, step, thread_option
from tui.terminal.printing import echo
from tui.terminal.signals import Terminated, raise_on_signals

# Name → (module, one line for --help). The lines are here so that help imports nothing.
VERBS: dict[str, tuple[str, str]] = {
    "chat": ("chat.chat", "Open the chat (what `discern` alone does)."),
    "setup": ("chat.chat", "Choose the model and when to train, step by step."),
    "ask": ("chat.ask", "Ask one question and print the reply."),
    "mark": (
        "chat.chat",
        "Mark a reply: what went wrong, and the better answer.",
    ),
    "sessions": ("chat.sessions", "List, show, rename, delete and export conversations."),
    "memory": (
        "memory.group",
        "View and manage marks: list, search, edit, export, import.",
    ),
    "lessons": (
        "training.lessons",
        "Show what would be trained; export it for other trainers.",
    ),
    "train": ("training.train", "Train an adapter on your marks now."),
    "night": ("training.night", "Train every night while this runs, or --once if a night is due."),
    "report": (
        "training.report",
        "Show the report of a training run, or write it as a page.",
    ),
    "compare": ("chat.compare", "Compare replies side by side: base, adapters, recall."),
    "adapters": ("training.adapters", "List, switch, disable and roll back adapters."),
    "export": (
        "training.export",
        "Export an adapter for other programs: merged, GGUF LoRA or PEFT.",
    ),
    "model": ("system.model", "Download, find, check and select models."),
    "web": ("chat.web", "Open the chat in a local browser, protected by a key."),
    "config": ("system.config", "Show the settings and where they are stored."),
    "doctor": (
        "system.doctor",
        "Check the installation and explain how to fix problems.",
    ),
    "demo": ("training.demo", "Run the full loop in a temporary folder, in about a minute."),
    "starter": ("system.starter", "Build the starter model that ships with Discern."),
    "completion": ("system.completion", "Print a shell completion script."),
}


class Verbs(click.Group):
    """A group that imports its commands when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help page."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"tui.cli.{VERBS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_module, line) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest the nearest name for an unknown one."""
        from difflib import get_close_matches

        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean `discern {near[0]}`?" if near else "see `discern --help`"
            ctx.fail(f"unknown command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


EXAMPLES = """\b
Examples:
  discern                                     open the chat
  discern ask "What is the capital of France?"
  discern mark --moment error --expected "Shorter, please."
  discern train && discern report
  git diff | discern ask "Review this."
"""


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXAMPLES,
)
@thread_option
@continue_option
@click.option("--new", is_flag=True, help="Start a new thread.")
@click.option(
    "--model",
    metavar="PATH",
    help="Use this GGUF instead of the configured one.",
    shell_complete=model_files,
)
@click.version_option(package_name="discern", prog_name="discern")
@click.pass_context
def discern(
    ctx: click.Context, thread: str | None, go_on: bool, new: bool, model: str | None
) -> int | None:
    """Chat with a local model that learns from the replies you mark with /diff."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False  # otherwise Click decides: color on a terminal
    if ctx.invoked_subcommand is None:
        from tui.cli.chat.chat import chat

        opened: int = ctx.invoke(chat, thread=thread, go_on=go_on, new=new, model=model)
        return opened
    return None


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    if "_DISCERN_COMPLETE" in os.environ:
        importlib.import_module("tui.cli.system.completion")  # registers our completion for Bash
    try:
        result = discern.main(arguments, prog_name="discern", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        echo("discern: interrupted; everything saved so far is kept", err=True)
        return 130
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        echo(said.getvalue(), err=True, nl=False)
        return error.exit_code
    except KeyboardInterrupt:
        echo("discern: interrupted; everything saved so far is kept", err=True)
        return 130
    except BrokenPipeError:
        # The reader closed the pipe (`discern memory list | head`): not an error.
        _discard_output()
        return 0
    except Terminated as error:
        step("")
        echo(f"discern: {error}; everything saved so far is kept", err=True)
        return 128 + error.number
    except DiscernError as error:
        step("")  # clear the status line
        echo(f"discern: {error}", err=True)
        return error.exit_code
    except OSError as error:
        # Our own errors are DiscernErrors; this is most often the output, on a full disk.
        where = error.filename or "the output"
        _discard_output()
        echo(f"discern: cannot use {where}: {error.strerror or error}", err=True)
        return 2


def _discard_output() -> None:
    """Discard buffered output, so that flushing it cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the command line as the `discern` script."""
    if sys.platform == "win32":
        echo("discern: Windows is not supported. Run Discern in WSL 2.", err=True)
        sys.exit(2)
    set_private_umask()
    _open_missing_streams()
    raise_on_signals()
    sys.exit(run())


def _open_missing_streams() -> None:
    """Open standard streams that are closed at startup (`discern ask <&-`).

    Otherwise the next file opened would get their number and be used as the terminal.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
