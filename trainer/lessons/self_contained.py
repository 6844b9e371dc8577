"""Decide whether a question is self-contained, that is, clear without the conversation before it.

"And in winter?" means nothing alone, so its lesson is asked only in its conversation; "Who wrote
Faust?" is asked both ways. This uses word lists in English and Russian. Where they do not apply (other
languages), a question of one or two words is taken to depend on the conversation. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from memory.difference import Message
from memory.text.stemming import plain
from trainer.lessons.rephrase import count_content_words

_WORD = re.compile(r"[\w'’-]+")
_LEANING_WORDS = """
it its it's that this these those they them their theirs he she him her his hers there then above
again instead otherwise former latter one ones same such so
он она оно они его ее их ему ей им них нее него ней ними это этот эта эти этого этой этих тот та те
того той тех там тогда так такой такая такое такие иначе туда оттуда сюда тоже также ещё еще снова
"""
_LEANING = frozenset(_LEANING_WORDS.split())
# What is asked about a reply rather than about the world.
_ABOUT_REPLY = re.compile(
    r"(shorter|longer|simpler|more|less|again|continue|go on|rewrite|rephrase|repeat|"
    r"короче|длиннее|проще|подробнее|больше|меньше|продолжай|дальше|перепиши|повтори|"
    r"иначе|почему|зачем|why)\W*(please|пожалуйста)?\W*\Z"
)
_JOINING = re.compile(r"(and|but|or|also|а|и|но|или)\b")
_FIXED = re.compile(r"(how is it going|that is|who is there|как так)\b")


def without_system_prompt(before: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages of `before` without the system prompt."""
    return tuple(message for message in before if message.role != "system")


def is_self_contained(asked: str, before: Sequence[Message]) -> bool:
    """Whether `asked` means the same without the messages before it."""
    if not without_system_prompt(before):
        return True
    text = plain(asked)
    words = _WORD.findall(text)
    if not words or _ABOUT_REPLY.match(text):
        return False
    if any(word in _LEANING for word in words) and not _FIXED.match(text):
        return False
    content = count_content_words(text)
    if _JOINING.match(text):
        return content > 2
    return content >= 2 or (content == 1 and len(words) >= 3)
