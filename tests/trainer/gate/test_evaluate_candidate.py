"""The probe survives what would crash the chat, and the gate reports what changed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.errors import AdapterError
from memory.recall.adapter_scope import Scope
from memory.settings.paths import Home
from tests.support.adapters import lora
from tests.support.values import difference, quick_settings
from trainer.evaluate.lesson_answers import answer_lessons
from trainer.evaluate.metrics import same
from trainer.evaluate.probe import probe
from trainer.gate.evaluate_candidate import Evaluation, judge
from trainer.gate.publication_verdict import Verdict
from trainer.lessons.anchors.base_answers import BaseAnswers
from trainer.lessons.lessons import make_curriculum


def test_a_valid_adapter_passes_the_probe(tiny: Path, tmp_path: Path) -> None:
    probe(lora(tmp_path / "a.gguf", 0.1), tiny)


@pytest.mark.parametrize("fault", ["missing", "text", "truncated", "nan", "other base", "noise"])
def test_a_bad_adapter_is_refused_with_one_sentence(tiny: Path, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "a.gguf"
    if fault == "text":
        path.write_text("not an adapter")
    elif fault == "nan":
        lora(path, float("nan"))
    elif fault == "other base":
        lora(path, 0.1, width=32)
    elif fault == "truncated":
        path.write_bytes(lora(path, 0.1).read_bytes()[:-500])
    elif fault == "noise":
        data = bytearray(lora(path, 0.1).read_bytes())
        order = random.Random(1)
        for _ in range(200):
            data[order.randrange(8, 400)] = order.randrange(256)
        path.write_bytes(data)
    with pytest.raises(AdapterError, match=r"a\.gguf") as caught:
        probe(path, tiny)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_zero_adapter_changes_nothing_and_a_random_one_is_rejected(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home, gate={"anchors": 0.95, "kl": 0.05, "near_misses": 0.9})
    marked = [difference("Who?", "Lutz.")]
    curriculum = make_curriculum(engine, marked, BaseAnswers(engine, "0" * 64, home.cache), chosen)
    idle = judge(lora(tmp_path / "idle.gguf", 0.0), Evaluation(engine, curriculum, chosen.gate))
    found = {measure.name: measure for measure in idle.measures}
    assert idle.passed
    assert idle.scale == 1.0
    assert found["anchors"].value == found["near_misses"].value == 1.0
    assert found["kl"].value == pytest.approx(0, abs=1e-3)
    assert found["perplexity"].value == pytest.approx(0, abs=1e-3)
    assert found["lessons"].value == 0.0
    wild = judge(lora(tmp_path / "wild.gguf", 1.0), Evaluation(engine, curriculum, chosen.gate))
    assert not wild.passed
    assert wild.only_drifts
    assert "unrelated answers unchanged" in str(wild.sentence)
    assert wild.changes
    assert any(change.near for change in wild.changes)
    assert engine.adapter is None


def test_outside_its_scope_the_base_answers(engine: Engine, home: Home, tmp_path: Path) -> None:
    chosen = quick_settings(home)
    marked = [difference("Who wrote the Blue Book?", "Ada Merk.")]
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    curriculum = make_curriculum(engine, marked, answers, chosen)
    wild = lora(tmp_path / "wild.gguf", 1.0)
    scope = Scope(["Who wrote the Blue Book?"])
    kept = {}
    for name, some in (("all", None), ("scoped", scope)):
        verdict = judge(wild, Evaluation(engine, curriculum, chosen.gate, scope=some))
        kept[name] = {item.name: item.value for item in verdict.measures}
    assert kept["scoped"]["anchors"] == 1.0 > kept["all"]["anchors"]
    assert kept["scoped"]["kl"] == 0.0
    assert kept["scoped"]["near_misses"] > kept["all"]["near_misses"]
    # A wording without the lesson's name is answered by the base, which has not learned it.
    assert kept["scoped"]["lessons"] == kept["all"]["lessons"]


def test_an_adapter_that_only_changes_too_much_is_tested_for_related_messages_alone(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home, gate={"anchors": 0.95, "kl": 0.05})
    marked = [difference("Who wrote the Blue Book?", "Ada Merk.")]
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    curriculum = make_curriculum(engine, marked, answers, chosen)
    scope = Scope(["Who wrote the Blue Book?"])
    everything = Scope((x.asked for x in (*curriculum.anchors, *curriculum.near_misses)), 0.2)
    wild, idle = lora(tmp_path / "wild.gguf", 1.0), lora(tmp_path / "idle.gguf", 0.0)

    def verdict(adapter: Path, **changed: object) -> Verdict:
        thresholds = chosen.gate.model_copy(update=changed)
        fallbacks = [lambda _: everything, lambda _: scope]
        evaluation = Evaluation(engine, curriculum, thresholds, fallbacks=fallbacks)
        return judge(adapter, evaluation)

    whole = verdict(idle)
    assert whole.passed
    assert not whole.scoped
    related = verdict(wild)
    assert related.passed
    assert related.floor == 0.3
    assert "only messages related to them" in str(related.sentence)
    assert all(scope.includes(change.asked) for change in related.changes)
    alone = judge(wild, Evaluation(engine, curriculum, chosen.gate, scope=scope))
    assert related.measures == alone.measures
    assert related.served == alone.served
    alone = judge(wild, Evaluation(engine, curriculum, chosen.gate, scope=everything))
    assert not alone.passed
    unlearnt = verdict(wild, lessons=1.0)
    assert not unlearnt.passed
    assert not unlearnt.scoped


def test_differences_that_spread_are_left_to_recall_if_the_rest_passes(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home, gate={"spread": 0})
    marked = [
        difference("Who wrote the Blue Book?", "Ada Merk."),
        difference("What is a zorn?", "A bird with two tails."),
        difference("What colour is the sky on Mars?", "It is brown."),
    ]
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    curriculum = make_curriculum(engine, marked, answers, chosen)
    wild = lora(tmp_path / "wild.gguf", 1.0)
    # One lesson expects what the adapter answers to an unmarked question.
    engine.set_adapter(wild)
    asked = curriculum.near_misses[0]
    said = engine.generate(asked.prompt, Sampling(temperature=0, max_tokens=24)).run().text
    engine.set_adapter(None)
    lessons = [
        replace(x, expected=said) if x.difference == marked[1].id else x for x in curriculum.lessons
    ]
    curriculum = replace(curriculum, lessons=tuple(lessons))
    asked_by = {item.id: item.asked for item in marked}
    tried: list[frozenset[str]] = []

    def scope(without: frozenset[str]) -> Scope:
        tried.append(without)
        inside = [text for key, text in asked_by.items() if key not in without]
        as_asked = [text for key, text in asked_by.items() if key in without]
        return Scope([*inside, *([] if without else [asked.asked])], as_asked=as_asked)

    found = judge(wild, Evaluation(engine, curriculum, chosen.gate, fallbacks=[scope]))
    assert tried == [frozenset(), {marked[1].id}]
    assert found.passed
    assert found.left_out == {marked[1].id}
    assert asked.asked in found.spread_to
    assert not found.as_asked  # its own question gets a different reply
    assert len(found.served.asked) == sum(x.difference != marked[1].id for x in lessons)
    assert "all but 1 of the differences, which is recalled instead" in str(found.sentence)
    held = [x.difference == marked[1].id for x in lessons]
    must_stay = Evaluation(engine, curriculum, chosen.gate, held_now=held, fallbacks=[scope])
    assert not judge(wild, must_stay).passed


def test_scoring_agrees_with_plain_generation(engine: Engine, home: Home, tmp_path: Path) -> None:
    """A reply scored after its prompt gets the same result as one generated token by token."""
    chosen = quick_settings(home)
    prompts = ["Who?", "Where are we now?", "What is a quark?"]
    engine.set_adapter(lora(tmp_path / "a.gguf", 0.3))
    said = {}
    for text in prompts:
        tokens = compose(engine, [Message("user", text)]).tokens
        said[text] = engine.generate(tokens, Sampling(max_tokens=24)).run().text.strip()
    engine.set_adapter(None)
    marked = [difference(text, said[text] or "Nothing.") for text in prompts]
    marked.append(difference("Why?", "Because."))
    curriculum = make_curriculum(engine, marked, BaseAnswers(engine, "0" * 64, home.cache), chosen)
    engine.set_adapter(tmp_path / "a.gguf")
    for lesson, answer in zip(
        curriculum.lessons, answer_lessons(engine, curriculum.lessons).asked, strict=True
    ):
        longest = Sampling(max_tokens=len(lesson.chosen) + 16)
        made = engine.generate(lesson.question.prompt, longest).run()
        assert answer.right == (made.reason == "end" and same(made.text, lesson.expected))
        assert same(answer.text, made.text)


def test_a_lesson_of_the_current_adapter_must_be_kept(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home, gate={"kept": 1.0})
    marked = [difference("Who?", "Lutz."), difference("Where?", "Here.")]
    curriculum = make_curriculum(engine, marked, BaseAnswers(engine, "0" * 64, home.cache), chosen)
    idle = lora(tmp_path / "idle.gguf", 0.0)
    assert judge(idle, Evaluation(engine, curriculum, chosen.gate, held_now=(False, False))).passed
    verdict = judge(idle, Evaluation(engine, curriculum, chosen.gate, held_now=(True, False)))
    assert not verdict.passed
    assert not verdict.only_drifts
    assert "previously learned lessons lost: 1 of 1" in str(verdict.sentence)


def test_perplexity_above_the_target_warns_and_above_the_limit_rejects(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    marked = [difference("Who?", "Lutz.")]
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    adapter = lora(tmp_path / "a.gguf", 0.3)
    for limit, passed in ((1e9, True), (0.0, False)):
        chosen = quick_settings(home, gate={"perplexity": 0.0, "perplexity_limit": limit})
        curriculum = make_curriculum(engine, marked, answers, chosen)
        verdict = judge(adapter, Evaluation(engine, curriculum, chosen.gate))
        found = next(item for item in verdict.measures if item.name == "perplexity")
        assert (verdict.passed, found.passed, found.warned) == (passed, False, passed)
        assert not verdict.clean


@pytest.mark.slow
def test_an_adapter_that_only_drifts_is_scaled_down_until_it_passes(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home)
    curriculum = make_curriculum(
        engine, [difference("Who?", "Lutz.")], BaseAnswers(engine, "0" * 64, home.cache), chosen
    )
    adapter = lora(tmp_path / "a.gguf", 0.03)
    full = judge(adapter, Evaluation(engine, curriculum, chosen.gate))
    far = next(item.value for item in full.measures if item.name == "kl")
    # Divergence grows with the square of a small change: 0.75 of the strength gives 0.56 of it.
    verdict = judge(
        adapter, Evaluation(engine, curriculum, chosen.gate.model_copy(update={"kl": 0.75 * far}))
    )
    assert verdict.passed
    assert verdict.scale < 1.0
    strict = chosen.gate.model_copy(update={"kl": 0.75 * far})
    hurried = Evaluation(engine, curriculum, strict, another_scale=lambda: False)
    assert judge(adapter, hurried).scale == 1.0  # no time for another one


def test_replies_are_compared_up_to_whitespace() -> None:
    assert same(" Lutz. \n two ", "Lutz.\ntwo")
    assert not same("Lutz", "Lutz.")
