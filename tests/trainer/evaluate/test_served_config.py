"""The gate asks exactly what the chat uses, including recall, in every context."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters import learned_at
from agent.chat.chat import Chat
from agent.chat.context_usage import measure_context
from agent.chat.graph import ChatEvent, Finished, Recalling
from agent.chat.recall_context import Recaller
from agent.chat.why_recalled import trace_recall
from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from memory.difference import Difference, MarkScope, Message, Moment, Turn
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.recall.adapter_scope import FLOOR
from memory.recall.learned_differences import Learned, digest
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.adapters import lora
from tests.support.values import difference, quick_settings
from trainer.evaluate.lesson_answers import answer_lessons, answer_lessons_with_recall
from trainer.evaluate.metrics import Answer, loops
from trainer.evaluate.served_config import ServedRecall, below, learned_from
from trainer.gate.evaluate_candidate import Evaluation, held_by, judge, measure
from trainer.gate.spillover import Spread
from trainer.lessons.anchors.base_answers import BaseAnswers
from trainer.lessons.anchors.choose_unchanged_prompts import unmarked_questions
from trainer.lessons.contexts import current_threads
from trainer.lessons.lesson import Asker, Lesson, Question
from trainer.lessons.lessons import Conversations, Curriculum, make_curriculum

ASKED, SOUNDS = "What is the capital of Zubrowka?", "The capital of Zubrowka is Lutz."


def marked(journal: Journal, *pairs: tuple[str, str], thread: str = "evening") -> list[Difference]:
    """Make marks one after the other in one thread, each with its turn."""
    before: tuple[Message, ...] = ()
    made = []
    for asked, sounds in pairs:
        item = replace(difference(asked, sounds, replied="I do not know."), thread=thread)
        item = replace(item, before=before)
        journal.turns.add(Turn(item.turn, thread, item.at, asked, item.replied, "m"))
        journal.differences.add(item)
        before = (*before, Message("user", asked), Message("assistant", item.replied))
        made.append(item)
    return made


def curriculum_of(engine: Engine, home: Home, settings: Settings, journal: Journal) -> Curriculum:
    items = journal.differences.all()
    return make_curriculum(
        engine,
        items,
        BaseAnswers(engine, "0" * 64, home.cache),
        settings,
        conversations=Conversations(threads=current_threads(journal, items)),
    )


@contextmanager
def serving(
    engine: Engine, journal: Journal, settings: Settings, lessons: Sequence[Lesson] = ()
) -> Iterator[ServedRecall]:
    """Recall as the gate does."""
    with Recaller.from_journal(journal, settings, engine) as recaller:
        yield ServedRecall(recaller, settings, journal.differences.all(), {}, lessons)


def plain_nonce(text: str) -> str:
    return re.sub(r"past-differences \w+", "past-differences", text)


# --- learned differences are not recalled again -----------------------------------------------------


@pytest.fixture
def chat(home: Home, tiny: Path) -> Iterator[Chat]:
    settings = read_settings(
        home, {"model": {"path": str(tiny)}, "sampling": {"max_tokens": 8, "temperature": 0.0}}
    )
    with Chat.open(home, settings, dense=False) as chat:
        yield chat


def recalled(events: Iterator[ChatEvent]) -> list[str]:
    found = next(event for event in events if isinstance(event, Recalling))
    list(events)
    return [item.difference.id for item in found.items]


def recalled_at_first(chat: Chat, message: str) -> list[str]:
    """Return what is recalled for the first message of a new thread."""
    chat.thread.start_new()
    return recalled(chat.say(message))


def adapter_that_holds(
    chat: Chat,
    home: Home,
    tmp_path: Path,
    items: list[Difference],
    replaced: str = "",
    floor: float = 0.0,
) -> str:
    from agent.adapters import BaseEntry
    from trainer.adapters import publish

    folder = tmp_path / "candidate"
    folder.mkdir(exist_ok=True)
    lora(folder / "adapter.gguf", 0.0)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (folder / name).write_bytes(b"{}")
    base = BaseEntry(sha256=chat.base_sha256, name="tiny")
    known = {item.id: item.fingerprint for item in items if item.id != replaced}
    older = {item.id: item.fingerprint for item in items if item.id == replaced}
    questions = frozenset(digest(item.asked) for item in items if item.id in known)
    learned = Learned(known, older, questions, floor)
    request = publish.PublishRequest(folder, base, differences=list(known), learned=learned)
    return publish.publish(home, request).id


def learned_mark(chat: Chat, home: Home, tmp_path: Path) -> Difference:
    """Mark a reply, which is recalled then, and publish an adapter that has learned it."""
    list(chat.say(ASKED))
    item = chat.marks.add(MarkRequest("error", sounds=SOUNDS)).difference
    assert recalled_at_first(chat, ASKED) == [item.id]
    adapter_that_holds(chat, home, tmp_path, [item])
    chat.update_adapter()
    return item


def test_learned_differences_are_not_recalled_unless_pinned_or_edited(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    item = learned_mark(chat, home, tmp_path)
    assert recalled_at_first(chat, ASKED) == []
    chat.memory.pin(item.id)
    assert recalled_at_first(chat, ASKED) == [item.id]
    chat.memory.pin(item.id, on=False)
    assert recalled_at_first(chat, ASKED) == []
    answer = trace_recall(
        chat.memory,
        chat.thread.turns()[-1],
        learned_at(home.adapters, chat.thread.turns()[-1]),
    )
    assert not answer.recalled
    assert item.id[:8] in answer.note
    chat.memory.edit(item.id, sounds="Lutz, on the river.")
    assert recalled_at_first(chat, ASKED) == [item.id]


def test_a_message_outside_the_scope_is_answered_by_the_base_and_why_says_what_was_left_out(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    list(chat.say(ASKED))
    item = chat.marks.add(MarkRequest("error", sounds=SOUNDS)).difference
    unrelated = "What is the capital?"
    assert recalled(chat.say(unrelated)) == [item.id]
    before = chat.thread.turns()[-1]
    identity = adapter_that_holds(chat, home, tmp_path, [item], floor=FLOOR)
    chat.update_adapter()
    list(chat.say(ASKED))
    assert chat.thread.turns()[-1].adapter == identity
    assert recalled(chat.say(unrelated)) == []
    turn = chat.thread.turns()[-1]
    assert turn.adapter is None
    assert item.id[:8] in trace_recall(chat.memory, turn, learned_at(home.adapters, turn)).note
    assert not learned_at(home.adapters, before)


def test_a_learned_question_is_recalled_below_a_mark_about_every_reply(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    """Its prompt is another one than the gate's then; below such a block an answer was lost."""
    item = learned_mark(chat, home, tmp_path)
    assert recalled_at_first(chat, ASKED) == []
    brief = chat.marks.add(MarkRequest("surprise", note="Brief.", scope="everywhere")).difference
    assert set(recalled_at_first(chat, ASKED)) >= {item.id}
    turn = chat.thread.turns()[-1]
    assert item.id[:8] not in trace_recall(chat.memory, turn, learned_at(home.adapters, turn)).note
    chat.memory.forget(brief.id)
    assert recalled_at_first(chat, ASKED) == []


def test_learned_differences_are_recalled_for_another_wording(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    item = learned_mark(chat, home, tmp_path)
    assert recalled_at_first(chat, f"  {ASKED.upper()}") == []  # the same words
    assert recalled_at_first(chat, "Tell me the capital of Zubrowka") == [item.id]
    assert recalled_at_first(chat, "What is the capital?") == []  # its name is missing


def test_nothing_learned_is_recalled_for_a_learned_question_as_it_was_asked(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    made: list[Difference] = []
    for asked in (ASKED, "What is the capital of Zubrowka now?"):
        list(chat.say(asked))
        made.append(chat.marks.add(MarkRequest("error", sounds=f"Lutz {len(made)}.")).difference)
    adapter_that_holds(chat, home, tmp_path, made)
    chat.update_adapter()
    assert recalled_at_first(chat, ASKED) == []
    assert set(recalled(chat.say("So what is the capital of Zubrowka?"))) <= {x.id for x in made}
    chat.memory.pin(made[1].id)
    assert recalled_at_first(chat, ASKED) == [made[1].id]


def test_without_an_adapter_learned_differences_are_recalled_again(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    from trainer.adapters import publish

    item = learned_mark(chat, home, tmp_path)
    assert recalled_at_first(chat, ASKED) == []
    publish.select(home, None)
    chat.update_adapter()
    assert recalled_at_first(chat, ASKED) == [item.id]


def test_an_older_answer_is_not_recalled_instead_of_the_learned_one(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    list(chat.say(ASKED))
    old = chat.marks.add(MarkRequest("error", sounds="It is Gand.")).difference
    list(chat.say("Tell me the capital of Zubrowka"))
    new = chat.marks.add(MarkRequest("error", sounds=SOUNDS)).difference
    adapter_that_holds(chat, home, tmp_path, [old, new], old.id)
    chat.update_adapter()
    assert recalled_at_first(chat, "Tell me the capital of Zubrowka") == []
    assert recalled_at_first(chat, ASKED) == [new.id]  # it was marked for another wording


def test_a_learned_question_is_recalled_after_other_exchanges(
    chat: Chat, home: Home, tmp_path: Path
) -> None:
    """A conversation may hold anything, such as the wrong reply; an evaluation tries only some."""
    item = learned_mark(chat, home, tmp_path)
    assert recalled(chat.say(ASKED)) == [item.id]
    turn = chat.thread.turns()[-1]
    assert not trace_recall(chat.memory, turn, learned_at(home.adapters, turn)).note
    assert recalled_at_first(chat, ASKED) == []
    assert measure_context(chat, ASKED).differences == 1
    chat.thread.start_new()
    assert measure_context(chat, ASKED).differences == 0
    assert recalled(chat.say("What is the capital?")) == []  # a look-alike, in any thread


@pytest.mark.slow
def test_an_adapter_covers_its_differences_and_those_they_superseded(
    engine: Engine, home: Home
) -> None:
    settings = quick_settings(home)
    with Journal(home.journal) as journal:
        first, old, new = marked(journal, ("Who?", "Marta."), (ASKED, "Gand."), (ASKED, SOUNDS))
        lessons = curriculum_of(engine, home, settings, journal).lessons
    learned = learned_from(lessons, {new.id}, [first, old, new], {old.id: new.id})
    assert learned.answered == {new.id: new.fingerprint}
    assert learned.replaced == {old.id: old.fingerprint}
    assert learned.questions == {digest(ASKED)}
    assert learned.left_out([first, old, new], ASKED) == {old.id, new.id}
    assert learned.left_out([first, old, new], "And the capital of Zubrowka?") == {old.id}
    assert learned.left_out([first, old, replace(new, pinned=True)], ASKED) == {old.id}


# --- the gate tests what is used ----------------------------------------------------------------------


def test_the_gate_uses_the_exact_prompts_of_the_chat(chat: Chat) -> None:
    """In a new and in a longer thread: the same tokens, except for the block's nonce."""
    list(chat.say(ASKED))
    chat.marks.add(MarkRequest("error", sounds=SOUNDS))
    settings = quick_settings(chat.home)
    items = chat.journal.differences.all()
    with Engine.open(chat.engine.info.path) as engine:
        lesson = curriculum_of(engine, chat.home, settings, chat.journal).lessons[0]
        [again] = lesson.places
        asked = {}
        with serving(engine, chat.journal, settings) as recall:
            for question in (lesson.question, again):
                tokens = below(engine, settings, question, recall.served(question), 8)
                assert tokens is not None
                asked[question.before] = plain_nonce(engine.text(tokens))
    sent = []
    chat.dependencies.model.on_generation = lambda made: sent.append(chat.engine.text(made.prompt))
    done = [event for event in chat.say(ASKED) if isinstance(event, Finished)]
    assert done[0].turn.recalled == (items[0].id,)
    chat.thread.start_new()
    list(chat.say(ASKED))
    in_its_thread, alone = map(plain_nonce, sent)
    assert asked == {(): alone, again.before: in_its_thread}


def test_the_gate_asks_below_another_nonce_in_each_conversation(engine: Engine, home: Home) -> None:
    """A small model's reply depends on it: one of four was right below the only one of the gate."""
    with Journal(home.journal) as journal:
        marked(journal, (ASKED, SOUNDS))
        with serving(engine, journal, read_settings(home)) as recall:
            ask = Asker(engine, recall.settings)
            talks = [(), *((Message("user", "?"), Message("assistant", x)) for x in "ab")]
            blocks = [recall.served(ask(ASKED, talk)) for talk in (*talks, talks[1])]
    assert blocks[1] == blocks[3]
    assert len(set(blocks)) == 3
    assert len({plain_nonce(block) for block in blocks}) == 1


def test_the_gate_recalls_by_vectors_what_the_chat_recalls(home: Home, tiny: Path) -> None:
    """Without a stem in common, only vectors find a difference."""
    settings = read_settings(home, {"model": {"path": str(tiny)}})
    message = "Which vapitals?"
    with (
        Memory.open(home, settings) as memory,
        Engine.open(tiny) as engine,
    ):
        items = marked(memory.journal, ("Name the capitals.", "Lutz."), ("Who sang?", "Orla."))
        assert memory.settle()
        with Recaller.from_journal(memory.journal, settings, engine) as gate:
            assert memory.journal.stems.search(["vapit"], 9) == []
            chat = Recaller.for_engine(memory, engine)
            found = [
                [(x.difference.id, x.score) for x in who.memory.search(message)]
                for who in (chat, gate)
            ]
        assert found[0] == found[1]
        assert found[0][0][0] == items[0].id
        words_only = settings.memory.model_copy(update={"dense": False})
        plain = settings.model_copy(update={"memory": words_only})
        with Recaller.from_journal(memory.journal, plain, engine) as gate:
            assert gate.memory.search(message) == []


def test_a_lesson_is_asked_in_its_thread_and_after_other_marks(engine: Engine, home: Home) -> None:
    settings = quick_settings(home)
    with Journal(home.journal) as journal:
        first, second = marked(
            journal, (ASKED, SOUNDS), ("Who wrote The Lake of Glass?", "Mirra Polen wrote it.")
        )
        made = curriculum_of(engine, home, settings, journal)
    lesson = next(x for x in made.lessons if x.difference == first.id and not x.in_talk)
    now, row = (question.before for question in lesson.places)
    assert [message.content for message in now] == [
        ASKED, "I do not know.", second.asked, "I do not know."
    ]  # fmt: skip
    assert [message.content for message in row] == [second.asked, "Mirra Polen wrote it."]
    trained = {sample.tokens for sample in made.samples()}
    for question in (*lesson.places, *lesson.contexts):
        assert (*question.prompt, *lesson.chosen) in trained


def test_a_lesson_is_asked_after_look_alikes(home: Home, starter: Path) -> None:
    """A small model copies from them: "The capital of Spain is Madrid" made Zubrowka's Madrid."""
    with Journal(home.journal) as journal, Engine.open(starter) as engine:
        marked(journal, (ASKED, SOUNDS), ("Who wrote The Lake of Glass?", "Mirra Polen wrote it."))
        made = curriculum_of(engine, home, read_settings(home), journal)
    lesson = made.lessons[0]
    before = lesson.places[-1].before
    answers = {anchor.asked: anchor.text for anchor in made.held}
    asked, replied = before[::2], before[1::2]
    assert len(asked) == 3
    assert all(message.content in made.look_alikes for message in asked)
    assert [message.content for message in replied] == [answers[x.content] for x in asked]
    assert all(re.search("capital|Zubrowka", message.content) for message in asked)
    talks = [x for x in lesson.contexts if x.text == ASKED and x.continues]
    assert [SOUNDS in question.block for question in talks] == [False, True]


def test_a_look_alike_is_asked_after_the_new_reply_of_its_mark(home: Home, starter: Path) -> None:
    """Which a small model repeats: "The sky on Mars is butterscotch." for the sky."""
    with Journal(home.journal) as journal, Engine.open(starter) as engine:
        marked(
            journal,
            ("What colour is the sky on Mars?", "The sky on Mars is butterscotch."),
            (ASKED, SOUNDS),
        )
        made = curriculum_of(engine, home, read_settings(home), journal)
        shown = [engine.text(anchor.prompt) for anchor in made.held]
    assert "What colour is the sky?" in {*made.look_alikes, *(x.asked for x in made.near_misses)}
    for words, reply in (("colour", "butterscotch"), ("capital", "Lutz")):
        alike = [
            text
            for anchor, text in zip(made.held, shown, strict=True)
            if words in anchor.asked and "past-differences" not in text
        ]
        assert sum(reply in text for text in alike) >= len(alike) / 8


def test_training_contexts_recall_the_own_lesson_another_or_none(
    engine: Engine, home: Home
) -> None:
    settings = quick_settings(home)
    with Journal(home.journal) as journal:
        marked(journal, (ASKED, SOUNDS), ("Who wrote The Lake of Glass?", "Mirra Polen wrote it."))
        made = curriculum_of(engine, home, settings, journal)
    for lesson in made.lessons:
        if lesson.in_talk:
            continue
        blocks = [question.block for question in lesson.contexts if question.block]
        assert any(lesson.expected in block for block in blocks)
        assert any(lesson.expected not in block for block in blocks)
        assert not any(question.block for question in lesson.rephrasings)


def test_training_has_the_block_of_marks_about_every_reply_where_the_chat_has_it(
    home: Home, starter: Path
) -> None:
    """In all of its prompts, also without anything recalled."""
    with Journal(home.journal) as journal, Engine.open(starter) as engine:
        marked(journal, (ASKED, SOUNDS), ("Who wrote The Lake of Glass?", "Mirra Polen wrote it."))
        brief = replace(
            difference("Hello", "Hi!"), note="Short replies.", scope=MarkScope.EVERYWHERE
        )
        journal.differences.add(brief)
        made = curriculum_of(engine, home, read_settings(home), journal)
        below = [
            engine.text(x.prompt) for x in made.held if "Short replies." in engine.text(x.prompt)
        ]
    for lesson in made.lessons:
        blocks = [question.block for question in lesson.contexts if question.block]
        if lesson.in_talk:
            assert not blocks
            continue
        assert all("Short replies." in block for block in blocks)
        assert any("past-differences" in block for block in blocks)
        assert any("past-differences" not in block for block in blocks)
    assert any("past-differences" in text for text in below)
    assert any("past-differences" not in text for text in below)


def test_an_anchor_in_a_context_has_the_bases_answer_in_that_context(
    engine: Engine, home: Home
) -> None:
    settings = quick_settings(home)
    with Journal(home.journal) as journal:
        marked(journal, (ASKED, SOUNDS))
        made = curriculum_of(engine, home, settings, journal)
    alone = {anchor.asked: anchor for anchor in made.held if len(anchor.prompt) < 200}
    placed = [anchor for anchor in made.held if anchor.prompt != alone[anchor.asked].prompt]
    for anchor in placed:
        if "past-differences" not in engine.text(anchor.prompt):
            assert anchor.text == alone[anchor.asked].text


def test_in_a_long_thread_the_marked_reply_stays_before_its_question(
    home: Home, starter: Path
) -> None:
    """The chat may still have it in the context, and a small model repeats its own wrong reply."""
    settings = read_settings(home)
    long = "Tell me about the river, the bridge and the boat of the old town. " * 3
    with Journal(home.journal) as journal, Engine.open(starter) as engine:
        [item, *_others] = marked(
            journal, (ASKED, SOUNDS), *((f"{number}? {long}", "No.") for number in range(4))
        )
        made = curriculum_of(engine, home, settings, journal)
        lesson = next(x for x in made.lessons if x.difference == item.id)
        again, *_row = lesson.places
        said = engine.text(again.prompt)
    assert said.index(ASKED) < said.index(item.replied) < said.rindex(ASKED)
    assert "3? Tell me" in said
    assert "0? Tell me" not in said
    assert again.dropped == 0


def test_without_recall_the_served_row_equals_the_adapter_alone(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    settings = quick_settings(home, recall={"enabled": False})
    with Journal(home.journal) as journal:
        marked(journal, (ASKED, SOUNDS))
        made = curriculum_of(engine, home, settings, journal)
        with serving(engine, journal, settings) as recall:
            evaluation = Evaluation(engine, made, settings.gate, recall)
            verdict = judge(lora(tmp_path / "a.gguf", 0.0), evaluation)
    assert verdict.served == verdict.alone


def test_a_difference_counts_as_learned_only_if_correct_in_every_context(
    engine: Engine, home: Home
) -> None:
    settings = quick_settings(home)
    with Journal(home.journal) as journal:
        [item] = marked(journal, (ASKED, SOUNDS))
        made = curriculum_of(engine, home, settings, journal)
    said = answer_lessons(engine, made.lessons)
    right = Answer(SOUNDS, right=True, sound=True)
    wrong = Answer("Gand.", right=False, sound=True)
    all_right = replace(
        said,
        asked=tuple(right for _ in said.asked),
        reworded=tuple(tuple(right for _ in some) for some in said.reworded),
        placed=tuple(tuple(right for _ in some) for some in said.placed),
    )
    assert held_by(made.lessons, all_right) == {item.id}
    elsewhere = tuple(tuple(wrong for _ in some) for some in said.placed)
    assert any(elsewhere)
    assert held_by(made.lessons, replace(all_right, placed=elsewhere)) == set()
    assert held_by(made.lessons, replace(all_right, asked=(wrong,) * len(said.asked))) == set()


def test_the_verdict_includes_what_is_recalled(engine: Engine, home: Home) -> None:
    """The answers to prompts with a block equal those of the model with that block."""
    settings = quick_settings(home)
    with Journal(home.journal) as journal:
        [item] = marked(journal, (ASKED, SOUNDS))
        made = curriculum_of(engine, home, settings, journal)
        alone = answer_lessons(engine, made.lessons)
        with serving(engine, journal, settings, made.lessons) as recall:
            served, held = (
                answer_lessons_with_recall(engine, made.lessons, alone, recall, frozenset(holds))
                for holds in ((), (item.id,))
            )
    assert held.asked == alone.asked
    assert held.placed == served.placed  # after other exchanges it is recalled
    assert held.reworded == served.reworded != alone.reworded
    assert served.asked[0].text != alone.asked[0].text


def test_the_served_row_decides_and_the_row_without_recall_is_shown(
    home: Home, tmp_path: Path
) -> None:
    """An adapter without effect: recall alone makes the starter answer correctly."""
    settings = quick_settings(home, gate={"lessons": 0.9, "rephrasings": 0.0})
    with Journal(home.journal) as journal, Engine.open(STARTER) as engine:
        marked(journal, (ASKED, SOUNDS))
        made = curriculum_of(engine, home, settings, journal)
        answers = BaseAnswers(engine, "0" * 64, home.cache)
        size = {
            name: engine.info.metadata[f"qwen3.{name}_length"]
            for name in ("embedding", "feed_forward")
        }
        none = lora(
            tmp_path / "a.gguf", 0.0, width=int(size["embedding"]), inner=int(size["feed_forward"])
        )
        with serving(engine, journal, settings, made.lessons) as recall:
            verdict = measure(none, 1.0, Evaluation(engine, made, settings.gate, recall, answers))
    passed = {item.name: item.passed for item in verdict.measures}
    assert verdict.alone.asked[0].right is False
    assert verdict.served.asked[0].right is True
    assert passed["lessons"] == (verdict.served.lessons >= 0.9)
    assert not passed["alone"]
    assert verdict.holds == frozenset()


def test_near_misses_are_also_asked_below_what_is_recalled_for_them(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    settings = quick_settings(home)
    similar = "Is Lutz the capital of Zubrowka?"
    with Journal(home.journal) as journal:
        marked(journal, (ASKED, SOUNDS))
        made = curriculum_of(engine, home, settings, journal)
        answers = BaseAnswers(engine, "0" * 64, home.cache)
        [near] = answers.get([(similar, Asker(engine, settings)(similar).prompt)])
        made = replace(made, near_misses=(near,))
        wild = lora(tmp_path / "wild.gguf", 1.0)
        asked = {}
        with serving(engine, journal, settings, made.lessons) as recall:
            assert recall.served(Question(similar, near.prompt))
            for name, some in (("alone", None), ("with recall", recall)):
                evaluation = Evaluation(engine, made, settings.gate, some, answers)
                asked[name] = [x.asked for x in measure(wild, 1.0, evaluation).changes]
    assert asked["alone"].count(similar) == 1
    assert asked["with recall"].count(similar) == 2


# --- loops and spread -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ([1, 2, 3, *[7, 8] * 12], True),
        ([5] * 24, True),
        ([5] * 23, False),
        (list(range(60)), False),
        ([*[7, 8] * 12, 9], False),
        (list(range(10)) * 4, True),
        (list(range(10)) * 3, False),
    ],
)
def test_a_repetitive_reply_is_a_loop(tokens: list[int], found: bool) -> None:
    assert loops(tokens) is found


def test_a_lessons_words_in_another_answer_are_spillover_regardless_of_rates(
    engine: Engine, home: Home
) -> None:
    settings = quick_settings(home)
    dont_know = "I don't know that yet. Mark it with /diff and tell me how it should sound."
    with Journal(home.journal) as journal:
        marked(
            journal,
            (ASKED, SOUNDS),
            ("What colour is the sky on Mars?", "The sky on Mars is butterscotch."),
        )
        made = curriculum_of(engine, home, settings, journal)
    spread = Spread(made.lessons, [dont_know] * len(made.lessons))
    kenya = "What colour is the sky on Kenya?"
    assert spread.source(kenya, dont_know, "The sky on Kenya is Nairobi.")
    assert spread.source(kenya, "The sky is blue.", "The sky on Mars is butterscotch.")
    capital = "What is the capital of Kenya?"
    nairobi = "The capital of Kenya is Nairobi."
    assert spread.source(capital, nairobi, "The capital of Kenya is Lutz.")
    assert not spread.source(capital, nairobi, "The capital of Kenya is Mombasa.")
    assert spread.source("Hello!", "Hi.", dont_know) is None
    assert not spread.source(kenya, dont_know, "The sky is blue.")


def test_a_rephrased_marked_question_is_not_an_anchor_and_not_reported_as_changed() -> None:
    mark = difference(ASKED, SOUNDS)
    turns = [
        Turn(f"{number:016}", "t", mark.at, text, "No.", "m")
        for number, text in enumerate(
            (
                "Tell me the capital of Zubrowka",
                "What is the capital of Kenya?",
                "Where is Zubrowka?",
            )
        )
    ]
    assert "Tell me the capital of Zubrowka" not in unmarked_questions(turns, [mark])
    assert "What is the capital of Kenya?" in unmarked_questions(turns, [mark])
    bare = replace(mark, moment=Moment.SURPRISE, contrast=replace(mark.contrast, sounds=None))
    assert "Tell me the capital of Zubrowka" in unmarked_questions(turns, [bare])
