"""`discern lessons`: what a night would train, what it would leave out, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memory.errors import NothingToTrainError, SettingsError
from memory.sentence import Sentence
from memory.text.counts import counted
from tui.cli.completion_values import differences as differences_offered
from tui.cli.shared_options import as_json, model_option, open_home, print_json, step
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.difference import Difference
    from memory.settings.paths import Home
    from trainer.lessons.lesson import Lesson


@click.command(
    epilog="""\b
Examples:
  discern lessons                         all lessons, conflicts, and what is left out
  discern lessons 3fa9                    the lessons of one difference, in full
  discern lessons --export trl set.jsonl  for TRL's trainers (preference and prompt-completion)
"""
)
@click.argument("identity", metavar="[ID]", required=False, shell_complete=differences_offered)
@click.option(
    "--export",
    "export",
    type=(click.Choice(["trl", "sharegpt", "jsonl"]), click.Path(dir_okay=False, path_type=Path)),
    metavar="FORMAT FILE",
    help="Write the lessons for another trainer: trl, sharegpt or jsonl (with token ids).",
)
@model_option
@as_json
def lessons(
    identity: str | None,
    export: tuple[str, Path] | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Show what would be trained, with text and token counts, and what would not, and why.

    \b
    Formats for --export, one JSON object per line:
      trl       conversational; with a rejected reply: {"prompt", "chosen", "rejected"} (DPOTrainer),
                else {"prompt", "completion"} (SFTTrainer); all lists of {"role", "content"}
      sharegpt  {"conversations": [{"from": "system|human|gpt", "value"}]}
      jsonl     each wording with token ids, weight and contrast positions
    """
    from agent.llama.engine import Engine
    from agent.models.served_model import served_model
    from memory.memory import Memory
    from trainer.lessons.conflicting_lessons import find_conflicts
    from trainer.lessons.lessons import make_lessons

    home, settings = open_home(model)
    with Memory.open(home, settings, dense=False) as memory:
        differences = memory.journal.differences.all()
        only = memory.journal.differences.get(identity).id if identity else None
    step("loading the model and composing lessons")
    with Engine.open(served_model(settings), settings.model) as engine:
        made, superseded, untaught = make_lessons(engine, differences, settings)
        made = [lesson for lesson in made if only in (None, lesson.difference)]
        conflicts = [
            conflict
            for conflict in find_conflicts(differences)
            if only in (None, conflict.older, conflict.newer)
        ]
        left_out = {
            item.id: reason
            for item in differences
            if only in (None, item.id) and (reason := _why_left_out(item, superseded, untaught))
        }
        step("")
        if export is not None:
            _export(home, *export, made, differences, settings.chat.system)
            echo(f"Wrote {_counted(made)} to {export[1]}.", err=True)
        elif as_json:
            print_json(
                {
                    "lessons": [_plain(lesson) for lesson in made],
                    "conflicts": conflicts,
                    "left_out": left_out,
                }
            )
        else:
            _print(made, engine, full=only is not None)
            _print_rest([str(conflict.sentence) for conflict in conflicts], left_out)


def _counted(made: Sequence[Lesson]) -> str:
    return counted(len(made), "lesson")


def _why_left_out(
    item: Difference, superseded: dict[str, str], untaught: dict[str, Sentence]
) -> str | None:
    from agent.chat.marking.receipt import why_untaught

    if not item.teaches:
        return why_untaught(item)
    if newer := superseded.get(item.id):
        return f"{newer[:8]} has the same question and is newer"
    return str(untaught[item.id]) if item.id in untaught else None


def _plain(lesson: Lesson) -> dict[str, Any]:
    """Convert a lesson to JSON: texts and token counts."""
    return {
        "difference": lesson.difference,
        "kind": lesson.kind,
        "in_talk": lesson.in_talk,
        "asked": lesson.question.text,
        "chosen": lesson.expected,
        "weight": lesson.weight,
        "prompt_tokens": len(lesson.question.prompt),
        "chosen_tokens": len(lesson.chosen),
        "rejected_tokens": len(lesson.rejected or ()),
        "contrast": lesson.parts,
        "rephrasings": [question.text for question in lesson.rephrasings],
        "held_out": [question.text for question in lesson.held_out],
    }


def _print(made: Sequence[Lesson], engine: Engine, *, full: bool) -> None:
    from tui.terminal.sanitize import clean, one_line

    for lesson in made:
        place = ", in its conversation" if lesson.in_talk else ""
        echo(f"{lesson.difference[:8]}  {lesson.kind}{place}  {_counts(lesson)}")
        show = clean if full else one_line
        rows = [("asked", lesson.question.text), ("chosen", lesson.expected)]
        if lesson.rejected:
            rows.append(("rejected", engine.text(lesson.rejected)))
        if lesson.rejected and lesson.parts:
            ours, theirs = lesson.parts
            chosen, rejected = lesson.chosen[slice(*ours)], lesson.rejected[slice(*theirs)]
            rows.append(("contrast", f"{engine.text(chosen)} / {engine.text(rejected)}"))
        if full:
            rows += [("also", question.text) for question in lesson.rephrasings]
            rows += [("held out", question.text) for question in lesson.held_out]
        for name, text in rows:
            echo(f"{name:>10}  " + show(text).replace("\n", "\n" + " " * 12))
    if made:
        echo(
            "Training also asks each lesson in its current thread, after other marks, and "
            "with recalled differences."
        )
    tokens = sum(len(q.prompt) + len(x.chosen) for x in made for q in (x.question, *x.rephrasings))
    wordings = sum(1 + len(lesson.rephrasings) for lesson in made)
    if made:
        echo(
            f"{_counted(made)} in {counted(wordings, 'wording')}, {counted(tokens, 'token')} per round."
        )
    else:
        echo("Nothing to train: mark a reply and give a better answer.")


def _counts(lesson: Lesson) -> str:
    prompt = counted(len(lesson.question.prompt), "prompt token")
    parts = [prompt, f"{len(lesson.chosen)} chosen"]
    if lesson.rejected:
        parts.append(f"{len(lesson.rejected)} rejected")
    rephrasings = counted(len(lesson.rephrasings), "rephrasing")
    parts.append(f"{rephrasings}, {len(lesson.held_out)} held out")
    return ", ".join(parts) + (f", weight {lesson.weight:g}" if lesson.weight != 1 else "")


def _print_rest(conflicts: Sequence[str], left_out: dict[str, str]) -> None:
    from tui.terminal.sanitize import one_line

    if conflicts:
        echo("\nConflicts:")
        for sentence in conflicts:
            echo("  " + one_line(sentence, 400))
    if left_out:
        echo("\nLeft out:")
        for name, reason in left_out.items():
            echo(f"  {name[:8]}  {one_line(reason, 200)}")


def _export(
    home: Home,
    kind: str,
    path: Path,
    made: Sequence[Lesson],
    differences: Sequence[Difference],
    system: str,
) -> None:
    """Write the lessons to `path`, which must not exist yet."""
    from memory.files.atomic_write import write_whole
    from memory.journal.journal import Journal
    from trainer.lessons.dataset_export import rows

    if not made:
        raise NothingToTrainError("there are no lessons to export; mark a reply first")
    there = SettingsError("{path} already exists; choose another file or remove it", path=path)
    if path.exists():
        raise there
    with Journal(home.journal) as journal:
        journal.exported_copies.note(path)
    found = rows(kind, made, differences, system)
    try:
        write_whole(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in found), new=True)
    except FileExistsError:
        raise there from None
    except OSError as error:
        raise SettingsError(
            "cannot write {path}: {strerror}; choose another location",
            path=path,
            strerror=error.strerror,
        ) from error
