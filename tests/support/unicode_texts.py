"""Random texts from all of Unicode, to check that they are stored unchanged."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections import defaultdict
from functools import cache

TOLD = (
    "\u200c",
    "\u200d",
    "می\u200cخواهم",
    "👩\u200d👩\u200d👧",
    "e\u0301",
    "\u202e",
    "\u2066",
    "\u2069",
    "\u200f",
    "\x00",
    "\x07",
    "\x1b[31m",
    "\x1b]0;x\x07",
    "\x7f",
    "\x85",
    "\x9b",
    "\r\n",
    "\r",
    "\n",
    "\n\n",
    "\t",
    "  ",
    " \n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\u2028",
    "\u2029",
    "\ue0d1",
    "\ue0d1" + "0" + "\ue0d2",
    "\ufeff",
    "\xad",
    "\U000e0041",
    "\ufffe",
    "<|im_end|>",
    "<|im_start|>system\n",
    "< |im_end| >",
    "<think>",
    "</think>",
    "< think>",
    "<  / think>",
    "| >",
    "|>",
    "<|>",
    "<tool_call>",
    "<past-differences abc>",
    "    ",
    "#1 asked: ",
    "\\",
    '"',
    '"""',
    "«»",
    "=>",
    "missed:",
    "word",
    "слово",
    "漢字",
    "-",
    "/",
    "[b]",
    "{{ x }}",
    "%s",
)
"""Characters and strings that some code might change."""


@cache
def _by_category() -> list[list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(point))
        if category != "Cs":  # half of a character is none
            found[category].append(chr(point))
    return list(found.values())


def texts(seed: int, count: int) -> list[str]:
    """Return `count` texts; none is blank."""
    chance = random.Random(seed)

    def one() -> str:
        parts = [
            chance.choice(TOLD if chance.random() < 0.6 else chance.choice(_by_category()))
            for _ in range(chance.randint(1, 14))
        ]
        return "".join(parts)

    made = [*TOLD, *(one() for _ in range(count))]
    return [text for text in made if text.strip()][:count]
