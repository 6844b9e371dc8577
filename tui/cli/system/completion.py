"""`discern completion`: shell completion for commands, options, names and ids.

Bash gets its own script, because Click's splits words at colons, which model names contain, and
does not quote thread names.
"""

from __future__ import annotations

import os
import shlex

import click
from click.shell_completion import (
    BashComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from tui.terminal.printing import echo

BASH = r"""%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" type value begun=""
    local word="${line//\\ /$'\1'}"
    word="${word##*[[:space:]]}" word="${word//$'\1'/ }"
    local quote="${COMP_WORDS[COMP_CWORD]:0:1}"
    [[ $word == *:* && $quote != [\'\"] ]] && begun="${word%%"${word##*:}"}"
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                case $quote in
                    \') value="${value//\'/\'\\\'\'}" ;;
                    \")
                        [[ $value == *!* ]] && continue  # history expansion, even in quotes
                        value="${value//\\/\\\\}" value="${value//\"/\\\"}"
                        value="${value//\$/\\\$}" value="${value//\`/\\\`}"
                        ;;
                    *) printf -v value %%q "${value#"$begun"}" ;;
                esac
                COMPREPLY+=("$value")
                ;;
        esac
    done < <(COMP_LINE="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class Bash(BashComplete):
    """Bash completion from the full line instead of its words."""

    source_template = BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor and the word at the cursor."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        ended = line[-1:].isspace() and not line.endswith("\\ ") and not _in_quotes(line)
        return (words, "") if ended or not words else (words[:-1], words[-1])


def _in_quotes(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return True
    return False


@click.command(
    epilog="""\b
Examples:
  discern completion bash >> ~/.bashrc
  discern completion zsh > ~/.zfunc/_discern    with ~/.zfunc in $fpath
  discern completion fish > ~/.config/fish/completions/discern.fish
Completes commands, options, threads, kinds, models, and ids of marks, turns and adapters.
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    found = get_completion_class(shell)
    assert found is not None  # the choice above lists just those that click has
    echo(found(ctx.find_root().command, {}, "discern", "_DISCERN_COMPLETE").source())
