"""Lessons and contexts contain the user's text character for character."""

from __future__ import annotations

from dataclasses import replace

from agent.llama.engine import Engine
from agent.prompt.prompt import compose, content_tokens, reply_tokens
from memory.difference import Contrast, Difference, Message, Moment, new_id, now
from memory.recall.hybrid_search import Recalled, render
from memory.settings.settings import Settings
from memory.text.quoting import quoted
from tests.support.unicode_texts import texts
from trainer.lessons.lesson import Asker, lessons_of


def test_user_text_is_unchanged_in_prompt_and_lesson(engine: Engine, settings: Settings) -> None:
    ask = Asker(engine, settings)
    for number, (asked, replied, sounds) in enumerate(
        zip(texts(5, 60), texts(6, 60), texts(7, 60), strict=True)
    ):
        if sounds.strip() == replied.strip():
            continue
        item = Difference(
            new_id(), f"t{number}", "t", now(), Moment.ERROR, asked, replied,
            contrast=Contrast(sounds=sounds),
        )  # fmt: skip
        prompt = compose(engine, [Message("user", asked)])
        assert asked.strip() in prompt.text
        assert asked.strip() in engine.text(prompt.tokens)
        block, _items = render([Recalled(item, 1.0, ())], budget=10**6, count=len)
        whole = compose(engine, [Message("user", asked)], block=block).text
        assert block in whole
        assert quoted(sounds) in whole
        lesson = lessons_of(item, [], ask, engine)[0]
        assert lesson.expected == sounds.strip()
        assert engine.text(lesson.chosen[:-1]) == sounds.strip()
        assert lesson.question.text == asked
        assert asked.strip() in engine.text(lesson.question.prompt)
        assert lesson.chosen == (*content_tokens(engine, sounds.strip()), engine.end_of_turn)
        hold = lessons_of(replace(item, moment=Moment.HOLD, contrast=Contrast()), [], ask, engine)
        assert hold[0].chosen[-1] == engine.end_of_turn
        assert reply_tokens(engine, sounds) == lesson.chosen
