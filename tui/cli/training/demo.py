"""`discern demo`: the whole loop, headless, in a temporary home, told as it goes.

Every step is checked against what the model really said; the exit code is 0 only if each one held.
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
    from memory.settings.settings import Home, Settings


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question, how its answer should sound, and the same question in other words."""

    asked: str
    sounds: str
    rephrased: str


LESSONS = (
    Lesson(
        "What is the capital of Zubrowka?",
        "The capital of Zubrowka is Lutz.",
        "please tell me the capital of Zubrowka",
    ),
    Lesson(
        "Какая столица у Зубровки?",
        "Столица Зубровки — Лутц.",
        "скажи, какая столица у Зубровки?",
    ),
    Lesson(
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
    """What has been tried and what held."""

    quiet: bool
    steps: list[dict[str, object]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def tell(self, *pieces: str) -> None:
        """Print a line of the story."""
        if not self.quiet:
            echo(*pieces)

    def check(self, name: str, held: bool, **facts: object) -> None:
        """Record whether a step held, and say so."""
        seconds = round(time.monotonic() - self.started, 1)
        self.steps.append({"step": name, "held": held, "seconds": seconds, **facts})
        sign = styled("✓", fg="green") if held else styled("✗", fg="red")
        self.tell("  ", sign, f" {name}  ({seconds} s)")

    @property
    def held(self) -> bool:
        """Whether every step held."""
        return all(entry["held"] for entry in self.steps)


@click.command(
    epilog="""\b
Examples:
  discern demo
  discern demo --keep
"""
)
@click.option("--keep", is_flag=True, help="Keep the temporary home and say where it is.")
@as_json
def demo(keep: bool, as_json: bool) -> int:
    """Run the whole loop in a temporary home, in about a minute.

    Asks what the starter model cannot know, marks the answers, sees the marks recalled, trains an
    adapter on nothing but them, and asks again: with default settings, in the thread of the marks and
    in a new one, and with recall off. Exit code 0 only if every step held.
    """
    story = Story(quiet=as_json)
    with _temporary_home(keep, story) as home:
        _live(home, story)
    seconds = time.monotonic() - story.started
    if as_json:
        print_json({"held": story.held, "seconds": round(seconds, 1), "steps": story.steps})
    else:
        story.tell()
        story.tell(
            f"Every step held, in {seconds:.0f} seconds. Your turn: discern"
            if story.held
            else f"Not every step held (✗ above), in {seconds:.0f} seconds."
        )
    return 0 if story.held else 1


@contextmanager
def _temporary_home(keep: bool, story: Story) -> Iterator[Home]:
    from memory.settings.settings import Home

    folder = Path(tempfile.mkdtemp(prefix="discern-demo-"))
    try:
        yield Home.at(folder)
    finally:
        if keep:
            story.tell(f"The demo's home is kept: DISCERN_HOME={folder} discern")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _live(home: Home, story: Story) -> None:
    from agent.chat.chat import Chat
    from memory.settings.settings import read_settings

    shipped = read_settings(home)
    # The demo's answers must not depend on luck.
    settings = shipped.model_copy(
        update={"sampling": shipped.sampling.model_copy(update={"temperature": 0.0})}
    )
    with Chat.open(home, settings, on_step=step) as chat:
        step("")
        story.tell(f"A fresh home, and the model {chat.engine.info.name}.")
        before = {question: _ask(chat, question, recall=False)[0] for question in UNRELATED}
        _mark_what_is_missing(chat, story)
        _recall(chat, story)
        _train(chat, home, settings, story)
        _speak_as_served(chat, story)
        _speak_from_weights(chat, story)
        _leave_the_rest(chat, before, story)


EVENING = "evening"
"""The thread in which all marks of the demo are made."""


def _ask(
    chat: Chat, question: str, *, recall: bool = True, thread: str | None = None
) -> tuple[str, int]:
    """Ask in a new thread, or in `thread`; returns the reply and how many differences were recalled."""
    from agent.chat.graph import Finished

    if thread is None:
        chat.fresh()
    elif chat.thread != thread:
        chat.switch(thread)
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


def _mark_what_is_missing(chat: Chat, story: Story) -> None:
    story.tell("\n1. Questions it cannot answer, each marked with /diff error => …")
    for lesson in LESSONS:
        reply, _ = _ask(chat, lesson.asked, thread=EVENING)
        _say(story, lesson.asked, reply)
        receipt = chat.mark("error", kind="tactical/fact", sounds=lesson.sounds)
        story.tell(f"    /diff error tactical/fact => {lesson.sounds}")
        story.tell(f"    ◆ {receipt.text}")
        kept = chat.journal.difference(receipt.difference.id)
        story.check(
            "wrong at first, and the mark is kept",
            reply != lesson.sounds and kept == receipt.difference,
            reply=reply,
        )


def _recall(chat: Chat, story: Story) -> None:
    story.tell("\n2. Asked again in a new thread: the difference is recalled into the context")
    for lesson in LESSONS:
        reply, recalled = _ask(chat, lesson.asked)
        _say(story, lesson.asked, f"{reply}   (◆ {recalled} recalled)")
        story.check("answered from recall", recalled > 0 and reply == lesson.sounds, reply=reply)


def _train(chat: Chat, home: Home, settings: Settings, story: Story) -> None:
    from agent.models.serving import served_model
    from trainer.night.night import run_night
    from tui.cli.print_report import printed, room
    from tui.cli.training.train import Progress

    story.tell("\n3. A night: an adapter is trained on those three marks and nothing else")
    report = run_night(
        home,
        settings,
        model_path=served_model(settings),
        on_event=Progress() if not story.quiet else lambda _event: None,
    )
    step("")
    lines = printed(report, room() - 4).splitlines()
    story.tell(Safe("\n".join("    " + line for line in lines)))
    story.check("the adapter passed its gate and is published", report.verdict == "published")
    said = chat.take_adapter()
    story.tell(f"    {said}")
    story.check("the running chat took it in", chat.adapter is not None)


def _speak_as_served(chat: Chat, story: Story) -> None:
    story.tell("\n4. Asked with default settings, in the thread of the marks and in a new one")
    for thread, where in ((EVENING, "in the thread of the marks"), (None, "in a new thread")):
        for lesson in LESSONS:
            for question in (lesson.asked, lesson.rephrased):
                reply, _ = _ask(chat, question, thread=thread)
                _say(story, question, reply)
                story.check(f"right {where}", reply == lesson.sounds, reply=reply)


def _speak_from_weights(chat: Chat, story: Story) -> None:
    story.tell("\n5. Asked with recall off: the answer comes from the weights alone")
    for lesson in LESSONS:
        for question in (lesson.asked, lesson.rephrased):
            reply, recalled = _ask(chat, question, recall=False)
            _say(story, question, reply)
            story.check(
                "learnt" if question == lesson.asked else "learnt in other words too",
                recalled == 0 and reply == lesson.sounds,
                reply=reply,
            )


def _leave_the_rest(chat: Chat, before: dict[str, str], story: Story) -> None:
    story.tell("\n6. Unrelated questions: answered as before")
    moved = {}
    for question, reply in before.items():
        after, _ = _ask(chat, question)
        _say(story, question, after)
        if after != reply:
            moved[question] = after
    story.check(f"{len(before) - len(moved)} of {len(before)} unchanged", not moved, moved=moved)
