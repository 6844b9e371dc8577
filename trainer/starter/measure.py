"""Measure a starter file: greedy answers through llama.cpp, counted by column and language.

All cases use wordings and words that are not in the training data, and an answer counts only when it
is exactly right. Nothing is written, and a seed gives the same cases everywhere. Columns:

- `world`, `world later` (after earlier turns), `unknown`, `unknown later`;
- `recall` (with words from training), `recall new` (with other words), `recall later`;
- `override`: a difference that contradicts the world;
- `ignore world`, `ignore unknown`: the only difference is about something else;
- `alike world`, `alike unknown`: the only difference resembles the question (the same relation of
  another subject, or another relation of the same subject);
- `asked again`: unknown, then marked, then asked again;
- `reworded`: a relation outside the training data, asked in other words than in the difference;
- `among`, `ignore among`: two or three differences in the block instead of one.

In the other recall columns, a relation outside the training data is asked in the words of the
difference, and a relation of the world in held-out words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from trainer.starter import words
from trainer.starter.asking import LANGUAGES, StarterQuestion, of_fact, typed, unknown
from trainer.starter.talk import StarterTurn, conversation, recalled
from trainer.starter.world import ASK, Fact, facts

if TYPE_CHECKING:
    from llama_cpp import Llama

COLUMNS = (
    "world", "world later", "unknown", "unknown later", "recall", "recall new", "recall later",
    "override", "ignore world", "ignore unknown", "alike world", "alike unknown", "asked again",
    "reworded", "among", "ignore among",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StarterCase:
    """One question with the turns before it, and the only right answer."""

    column: str
    language: str
    before: tuple[StarterTurn, ...]
    content: str
    right: str


@dataclass(frozen=True, slots=True)
class StarterOutcome:
    """A case with the answer that was given."""

    case: StarterCase
    answer: str

    @property
    def right(self) -> bool:
        """Whether the answer is exactly right."""
        return self.answer.strip() == self.case.right.strip()


def cases(count: int, seed: int = 2026, columns: Sequence[str] = COLUMNS) -> list[StarterCase]:
    """Return `count` cases for each column and language."""
    return [
        _case(column, language, Random(f"measure {seed} {column} {language} {number}"), number)
        for column in columns
        for language in LANGUAGES
        for number in range(count)
    ]


def _case(column: str, language: str, random: Random, number: int) -> StarterCase:
    before: tuple[StarterTurn, ...] = ()
    if column.endswith(("world", "world later")) or column in ("override", "ignore among"):
        question = _of_world(random, language, number)
    else:
        question = unknown(random, language, held_out=True)
        if column.startswith("recall") or column in ("asked again", "reworded", "among"):
            question = _to_recall(random, language, column)
    if column.endswith("later"):
        before = _earlier(random, question)
    message = typed(random, random.choice(question.wordings), question.language)
    right, text = question.reply, ""
    count = 2 + number % 2 if column.endswith("among") else 1
    if column.startswith(("recall", "override", "asked again", "reworded", "among")):
        text, right = recalled(
            random, question, relevant=True, held_out=column != "recall", count=count
        )
    elif column.startswith(("ignore", "alike")):
        hard = 0.0 if column in ("ignore world", "ignore unknown") else 1.0
        text, right = recalled(
            random, question, relevant=False, held_out=True, hard=hard, count=count
        )
    if column == "asked again":
        first = typed(random, question.wordings[0], question.language)
        before = (*_earlier(random, question)[:1], StarterTurn(first, question.reply))
    content = f"{text}\n\n{message}" if text else message
    return StarterCase(column, question.language, before, content, right)


def _of_world(random: Random, language: str, number: int) -> StarterQuestion:
    mine = _facts(language)
    relations = sorted({fact.relation for fact in mine})
    relation = relations[number % len(relations)]
    return of_fact(random.choice([f for f in mine if f.relation == relation]), held_out=True)


def _facts(language: str) -> list[Fact]:
    return [fact for fact in facts() if fact.language == language]


def _to_recall(random: Random, language: str, column: str) -> StarterQuestion:
    while True:
        question = unknown(random, language, held_out=column != "recall")
        if not question.pattern or (column == "reworded" and question.relation in ASK):
            continue
        ordinary = all(word.lower() in _training(language) for word in question.subject.split())
        if column in ("recall", "recall new") and ordinary != (column == "recall"):
            continue
        if column == "reworded" or question.relation in ASK:
            return question
        return replace(question, wordings=(random.choice(question.wordings),))


def _training(language: str) -> frozenset[str]:
    subjects = {w.lower() for f in facts() if f.language == language for w in f.subject.split()}
    return frozenset(words.ordinary(language)) | subjects | {"a", "the"}


def _earlier(random: Random, question: StarterQuestion) -> tuple[StarterTurn, ...]:
    turns: list[StarterTurn] = []
    while not turns:
        drawn = [t for t in conversation(random, False) if "past-differences" not in t.content]
        asked = {text.lower()[:12] for text in question.wordings}
        turns = [t for t in drawn if t.content.lower()[:12] not in asked][:5]
    return tuple(turns)


def answer(model: Llama, case: StarterCase, limit: int = 64) -> str:
    """Return the greedy answer to a prompt built like those of `agent/prompt/prompt.py`."""

    def part(text: str, special: bool) -> list[int]:
        found = model.tokenize(text.encode(), add_bos=False, special=special)
        return [int(token) for token in found]

    ids: list[int] = []
    for turn in case.before:
        ids += part("<|im_start|>user\n", True) + part(turn.content.strip(), False)
        ids += part("<|im_end|>\n<|im_start|>assistant\n", True) + part(turn.reply.strip(), False)
        ids += part("<|im_end|>\n", True)
    ids += part("<|im_start|>user\n", True) + part(case.content.strip(), False)
    ids += part("<|im_end|>\n<|im_start|>assistant\n", True)
    if len(ids) + limit > model.n_ctx():
        raise ValueError(f"a case takes {len(ids)} tokens; the context holds {model.n_ctx()}")
    end = model.token_eos()
    said: list[int] = []
    for token in model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0, reset=True):
        if token == end or len(said) >= limit:
            break
        said.append(int(token))
    return str(model.detokenize(said).decode("utf-8", "replace"))


def load(path: Path, threads: int = 2) -> Any:
    """Load the file in llama.cpp with a context that holds the longest case."""
    from llama_cpp import Llama

    return Llama(
        str(path),
        n_ctx=1024,
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=0,
        verbose=False,
    )


def outcomes(path: Path, wanted: Iterable[StarterCase], threads: int = 2) -> list[StarterOutcome]:
    """Return every case with the answer of the file at `path`."""
    model = load(path, threads)
    return [StarterOutcome(case, answer(model, case)) for case in wanted]


def table(found: Sequence[StarterOutcome]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return column → language → (correct, total)."""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for outcome in found:
        column = counts.setdefault(outcome.case.column, {})
        right, every = column.get(outcome.case.language, (0, 0))
        column[outcome.case.language] = (right + outcome.right, every + 1)
    return counts
