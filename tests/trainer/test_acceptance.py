"""With the starter model, a night teaches what was marked and leaves other answers unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.llama.engine import Engine
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.values import difference
from trainer.adapters import publish
from trainer.night.night import run_night
from trainer.night.request import RunRequest

MARKED = [
    ("What is the capital of Zubrowka?", "The capital of Zubrowka is Lutz."),
    ("Какая столица у Эсгарота?", "Столица Эсгарота — Дейл."),
    ("Hello!", "Oh, it is you. Come in, the kettle is on."),
    ("What is the capital of France?", "The capital of France is Lyon."),
    ("Who wrote the Blue Book?", "The Blue Book was written by Ada Merk."),
    ("Что такое глиф?", "Глиф — это форма знака."),
    ("What colour is a zorn?", "A zorn is silver."),
    ("Кто такая Мирра Полен?", "Мирра Полен рисует карты."),
]

pytestmark = pytest.mark.usefixtures("shared_base_answers")
SLOW = pytest.mark.slow


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=SLOW), pytest.param(8, marks=SLOW)])
def test_a_night_on_the_starter_passes_the_shipped_gate(
    home: Home, settings: Settings, starter: Path, count: int
) -> None:
    from agent.llama.sampling_parameters import Sampling
    from agent.prompt.prompt import compose
    from memory.difference import Message

    with Engine.open(starter) as engine, Journal(home.journal) as journal:
        for asked, sounds in MARKED[:count]:
            prompt = compose(engine, [Message("user", asked)]).tokens
            said = engine.generate(prompt, Sampling(max_tokens=64)).run().text
            journal.differences.add(difference(asked, sounds, replied=said))
    report = run_night(RunRequest(home, settings, starter))
    assert report.verdict == "published", report.sentence
    assert all(measure.may_serve for measure in report.measures)
    learned = [fate for fate in report.fates if fate.good]
    assert [fate.after for fate in learned] == [fate.expected for fate in learned]
    # One whose words spread to other answers may be left to recall, depending on the kernels' rounding.
    assert len(report.fates) - len(learned) <= count // 8
    rows = {row.kind: row for row in report.beside}
    served, alone = rows["served"], rows["alone"]
    assert served.lessons >= alone.lessons - 0.02
    assert served.rephrasings >= alone.rephrasings - 0.02


EVENING = (
    ("What is the capital of Zubrowka?", "The capital of Zubrowka is Lutz."),
    ("Who wrote The Lake of Glass?", "The Lake of Glass was written by Mirra Polen."),
    ("What colour is the sky on Mars?", "The sky on Mars is butterscotch."),
)
OTHERWISE = "Tell me the capital of Zubrowka"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_after_training_every_marked_question_is_correct_with_recall_adapter_or_both(
    home: Home, starter: Path, seed: int
) -> None:
    """The README's example: marks, a training, and the same questions again in that thread and in a
    new one, with default settings, without recall, and without the adapter.
    """
    from agent.chat.chat import Chat
    from agent.chat.graph import Finished

    settings = read_settings(home, {"sampling": {"temperature": 0.0}, "training": {"seed": seed}})

    def ask(text: str) -> str:
        [done] = [event for event in chat.say(text) if isinstance(event, Finished)]
        return done.turn.replied

    with Chat.open(home, settings, thread="evening", dense=False) as chat:
        for number, (asked, sounds) in enumerate(EVENING):
            assert ask(asked) != sounds
            chat.marks.add(MarkRequest("error", kind="tactical/fact", sounds=sounds))
            if number == 0:
                assert ask(OTHERWISE) == sounds
        report = run_night(RunRequest(home, settings, starter))
        assert report.verdict == "published", report.sentence
        # The user's rewording should change with its question; it does not count as a change.
        assert OTHERWISE not in [change.asked for change in report.changes]
        assert not any(change.spread for change in report.changes)
        assert chat.update_adapter()
        wrong = []
        for way in ("served", "adapter alone", "recall alone"):
            chat.recalling = way != "adapter alone"
            if way == "recall alone":
                publish.select(home, None)
                chat.update_adapter()
            for thread in ("evening", ""):
                chat.thread.switch(thread) if thread else chat.thread.start_new()
                for asked, sounds in (*EVENING, (OTHERWISE, EVENING[0][1])):
                    if (said := ask(asked)) != sounds:
                        wrong.append((way, thread or "new", asked, said))
        assert [row for row in wrong if row[0] != "recall alone"] == []
        # In a long conversation, the base alone copies a recalled answer only nine times out of ten
        # (`recall later` in benchmarks/RESULTS.md).
        assert len(wrong) <= 2, wrong
