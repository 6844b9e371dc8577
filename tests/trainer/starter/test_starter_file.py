"""The included starter model: its file, its model card, and some answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from llama_cpp import Llama

from trainer.starter.measure import StarterCase, answer, load
from trainer.starter.talk import StarterItem, StarterTurn, block
from trainer.starter.world import DONT_KNOW

FOLDER = Path(__file__).resolve().parents[3] / "agent" / "starter"
FILE = FOLDER / "starter.gguf"


@pytest.fixture(scope="module")
def model() -> Llama:
    return load(FILE, threads=1)


def test_the_file_is_small_and_matches_its_model_card() -> None:
    card = json.loads((FOLDER / "card.json").read_text("utf-8"))
    assert FILE.stat().st_size <= 16_000_000
    assert card["sha256"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert card["data"]["facts"] >= 400


def test_the_starter_answers_known_questions_in_both_languages(model: Llama) -> None:
    assert _say(model, "What is the capital of France?") == "The capital of France is Paris."
    assert _say(model, "какая столица у франции") == "Столица Франции — Париж."
    assert _say(model, "What is 2 + 3?") == "2 + 3 = 5."


def test_the_starter_says_when_it_does_not_know(model: Llama) -> None:
    assert _say(model, "What is the capital of Zubrowka?") == DONT_KNOW["en"]
    assert _say(model, "Кто написал Кразмолику?") == DONT_KNOW["ru"]


def test_a_marked_answer_is_used_when_the_question_is_repeated(model: Llama) -> None:
    asked = "What is the capital of Zubrowka?"
    told = block([StarterItem(asked, "The capital of Zubrowka is Lutz.")], "k7f2qa")
    before = (StarterTurn(asked, DONT_KNOW["en"]),)
    assert _say(model, f"{told}\n\n{asked}", before) == "The capital of Zubrowka is Lutz."
    other = f"{told}\n\nWhat is the capital of Spain?"
    assert _say(model, other) == "The capital of Spain is Madrid."


def _say(model: Llama, content: str, before: tuple[StarterTurn, ...] = ()) -> str:
    return answer(model, StarterCase("", "en", before, content, ""))
