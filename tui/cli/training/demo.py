"""`discern demo`: run the full loop headless in a temporary folder.

Every step is checked against the model's actual replies. The exit code is 0 only if all checks
pass.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.cli.shared_options import as_json, print_json, step
from tui.terminal.printing import Safe, echo, styled

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from memory.settings.paths import Home
    from memory.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class DemoLesson:
    """A question, the expected answer, and the same question in other words."""

    asked: str
    sounds: str
    rephrased: str


LESSONS = (
    DemoLesson(
        "What is the capital of Zubrowka?",
        "The capital of Zubrowka is Lutz.",
        "please tell me the capital of Zubrowka",
    ),
    DemoLesson(
        "Какая столица у Зубровки?",
        "Столица Зубровки — Лутц.",
        "скажи, какая столица у Зубровки?",
    ),
    DemoLesson(
        "Who keeps the night watch?",
        "Old Marta keeps the night watch.",
        "tell me, who keeps the night watch?",
    ),
)
UNRELATED = (
    "What is the capital of France?",
    "What is 7 + 5?",
    "Who are you?",
    "What is the opposite of hot?",
    "Какой день после понедельника?",
    "Столица Италии?",
    "What is the capital of Florinia?",
    "Hello!",
)


@dataclass(slots=True)
class Story:
    """The steps so far and whether they passed."""

    quiet: bool
    steps: list[dict[str, object]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def tell(self, *pieces: str) -> None:
        """Print a line."""
        if not self.quiet:
            echo(*pieces)

    def check(self, name: str, held: bool, **facts: object) -> None:
        """Record and print whether a check passed."""
        seconds = round(time.monotonic() - self.started, 1)
        self.steps.append({"step": name, "held": held, "seconds": seconds, **facts})
        sign = styled("✓", fg="green") if held else styled("✗", fg="red")
        self.tell("  ", sign, f" {name}  ({seconds} s)")

    @property
    def held(self) -> bool:
        """Whether all checks passed."""
        return all(entry["held"] for entry in self.steps)


@click.command(
    epilog="""\b
Examples:
  discern demo
  discern demo --keep
"""
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder and print its path.")
@as_json
def demo(keep: bool, as_json: bool) -> int:
    """Run the full loop in a temporary folder, in about a minute.

    Asks questions that the starter model cannot answer, marks the replies, checks that the marks
    are recalled, trains an adapter on them only, and asks again: with default settings, in the
    same thread and in a new one, and with recall off. The exit code is 0 only if every step passed.
    """
    story = Story(quiet=as_json)
    with _temporary_home(keep, story) as home:
        _run_loop(home, story)
    seconds = time.monotonic() - story.started
    if as_json:
        print_json({"held": story.held, "seconds": round(seconds, 1), "steps": story.steps})
    else:
        story.tell()
        story.tell(
            f"All steps passed in {seconds:.0f} seconds. Your turn: discern"
            if story.held
            else f"Some steps failed (✗ above), after {seconds:.0f} seconds."
        )
    return 0 if story.held else 1


@contextmanager
def _temporary_home(keep: bool, story: Story) -> Iterator[Home]:
    from memory.settings.paths import Home

    folder = Path(tempfile.mkdtemp(prefix="discern-demo-"))
    try:
        yield Home.at(folder)
    finally:
        if keep:
            story.tell(f"The folder is kept. Open it with: DISCERN_HOME={folder} discern")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _run_loop(home: Home, story: Story) -> None:
    from agent.chat.chat import Chat
    from memory.settings.settings import read_settings

    shipped = read_settings(home)
    # The result of the demo must not depend on chance.
    settings = shipped.model_copy(
        update={"sampling": shipped.sampling.model_copy(update={"temperature": 0.0})}
    )
    with Chat.open(home, settings, on_step=lambda doing: step(str(doing))) as chat:
        step("")
        story.tell(f"A new home folder with the model {chat.engine.info.name}.")
        before = {question: _ask(chat, question, recall=False)[0] for question in UNRELATED}
        _mark_wrong_replies(chat, story)
        _check_recall(chat, story)
        _train(chat, home, settings, story)
        _check_as_served(chat, story)
        _check_weights_alone(chat, story)
        _check_unrelated(chat, before, story)


EVENING = "evening"
"""The thread in which the demo marks replies."""


def _ask(
    chat: Chat, question: str, *, recall: bool = True, thread: str | None = None
) -> tuple[str, int]:
    """Ask in a new thread, or in `thread`; return the reply and the number of recalled differences."""
    from agent.chat.graph import Finished

    if thread is None:
        chat.thread.start_new()
    elif chat.thread.name != thread:
        chat.thread.switch(thread)
    chat.recalling = recall
    reply, recalled = "", 0
    for event in chat.say(question):
        if isinstance(event, Finished):
            reply, recalled = event.turn.replied, len(event.turn.recalled)
    return reply, recalled


def _say(story: Story, question: str, reply: str) -> None:
    from tui.terminal.sanitize import one_line

    story.tell(f"    you      {question}")
    story.tell(f"    discern  {one_line(reply, 100)}")


def _mark_wrong_replies(chat: Chat, story: Story) -> None:
    from memory.mark_validation import MarkRequest

    story.tell("\n1. Ask questions it cannot answer, and mark each reply with /diff error => …")
    for lesson in LESSONS:
        reply, _ = _ask(chat, lesson.asked, thread=EVENING)
        _say(story, lesson.asked, reply)
        receipt = chat.marks.add(MarkRequest("error", kind="tactical/fact", sounds=lesson.sounds))
        story.tell(f"    /diff error tactical/fact => {lesson.sounds}")
        story.tell(f"    ◆ {receipt.text}")
        kept = chat.journal.differences.get(receipt.difference.id)
        story.check(
            "the reply is wrong, and the mark is saved",
            reply != lesson.sounds and kept == receipt.difference,
            reply=reply,
        )


def _check_recall(chat: Chat, story: Story) -> None:
    story.tell("\n2. Ask again in a new thread: the difference is recalled")
    for lesson in LESSONS:
        reply, recalled = _ask(chat, lesson.asked)
        _say(story, lesson.asked, f"{reply}   (◆ {recalled} recalled)")
        story.check(
            "the reply is right, from recall", recalled > 0 and reply == lesson.sounds, reply=reply
        )


def _train(chat: Chat, home: Home, settings: Settings, story: Story) -> None:
    from agent.models.served_model import served_model
    from trainer.night.night import run_night
    from trainer.night.request import RunRequest
    from tui.cli.print_report import printed, room
    from tui.cli.training.train import ProgressPrinter

    story.tell("\n3. Train an adapter on these three marks and nothing else")
    report = run_night(
        RunRequest(home, settings, served_model(settings)),
        on_event=ProgressPrinter() if not story.quiet else lambda _event: None,
    )
    step("")
    lines = printed(report, room() - 4).splitlines()
    story.tell(Safe("\n".join("    " + line for line in lines)))
    story.check("the adapter passed the gate and is published", report.verdict == "published")
    said = chat.update_adapter()
    story.tell(f"    {said}")
    story.check("the running chat uses the adapter", chat.adapter is not None)


def _check_as_served(chat: Chat, story: Story) -> None:
    story.tell("\n4. Ask with default settings, in the same thread and in a new one")
    for thread, where in ((EVENING, "in the same thread"), (None, "in a new thread")):
        for lesson in LESSONS:
            for question in (lesson.asked, lesson.rephrased):
                reply, _ = _ask(chat, question, thread=thread)
                _say(story, question, reply)
                story.check(f"the reply is right {where}", reply == lesson.sounds, reply=reply)


def _check_weights_alone(chat: Chat, story: Story) -> None:
    story.tell("\n5. Ask with recall off: the answer comes from the weights alone")
    for lesson in LESSONS:
        for question in (lesson.asked, lesson.rephrased):
            reply, recalled = _ask(chat, question, recall=False)
            _say(story, question, reply)
            story.check(
                "learned" if question == lesson.asked else "learned, also in other words",
                recalled == 0 and reply == lesson.sounds,
                reply=reply,
            )


def _check_unrelated(chat: Chat, before: dict[str, str], story: Story) -> None:
    story.tell("\n6. Ask unrelated questions: the replies have not changed")
    moved = {}
    for question, reply in before.items():
        after, _ = _ask(chat, question)
        _say(story, question, after)
        if after != reply:
            moved[question] = after
    story.check(f"{len(before) - len(moved)} of {len(before)} unchanged", not moved, moved=moved)
