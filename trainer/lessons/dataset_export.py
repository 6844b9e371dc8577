"""Export lessons as rows for other trainers: TRL, ShareGPT, or Discern's own JSON Lines.

`trl`: conversational rows; {"prompt", "chosen", "rejected"} where there is a rejected reply (for
DPOTrainer), {"prompt", "completion"} otherwise (for SFTTrainer). `sharegpt`: {"conversations"} with
"from" system, human or gpt. `jsonl`: every wording with token ids as a night trains them. Held-out
rephrasings are never exported. Source: TRL's documentation of dataset formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from memory.difference import Difference, Message
from trainer.lessons.lesson import Lesson, Question

_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def rows(
    kind: str, lessons: Sequence[Lesson], differences: Sequence[Difference], system: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield one row per wording of each lesson; `kind` is trl, sharegpt or jsonl."""
    known = {item.id: item for item in differences}
    for lesson in lessons:
        for number, question in enumerate((lesson.question, *lesson.rephrasings)):
            if kind == "jsonl":
                yield _tokens(lesson, question, number)
                continue
            asked = _messages(question, system)
            if kind == "sharegpt":
                turns = [*asked, Message("assistant", lesson.expected)]
                yield {
                    "conversations": [
                        {"from": _SHAREGPT[turn.role], "value": turn.content} for turn in turns
                    ]
                }
                continue
            chosen = [{"role": "assistant", "content": lesson.expected}]
            prompt = [{"role": turn.role, "content": turn.content} for turn in asked]
            if lesson.rejected and number == 0:
                replied = known[lesson.difference].replied.strip()
                rejected = [{"role": "assistant", "content": replied}]
                yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}
            else:
                yield {"prompt": prompt, "completion": chosen}


def _messages(question: Question, system: str) -> list[Message]:
    before = list(question.before)
    if system.strip() and not (before and before[0].role == "system"):
        before.insert(0, Message("system", system))
    return [*before, Message("user", question.text)]


def _tokens(lesson: Lesson, question: Question, number: int) -> dict[str, Any]:
    contrasted = lesson.rejected is not None and number == 0
    return {
        "difference": lesson.difference,
        "kind": lesson.kind,
        "asked": question.text,
        "chosen": lesson.expected,
        "weight": lesson.weight,
        "prompt_tokens": list(question.prompt),
        "chosen_tokens": list(lesson.chosen),
        "rejected_tokens": list(lesson.rejected or ()) if contrasted else [],
        "contrast": lesson.parts if contrasted else None,
    }
