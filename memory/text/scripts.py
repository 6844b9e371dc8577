"""The script in which a text is written, to tell languages apart that share names."""

from __future__ import annotations

import unicodedata
from collections import Counter

from memory.text.stemming import words


def in_other_scripts(text: str, other: str) -> bool:
    """Whether the words that only one of the texts has are written in different scripts.

    False if one of them has no such words: "What is Unix?" and "Что такое Unix?" are in other scripts,
    "Unix" and "Что такое Unix?" are not.
    """
    ours, theirs = set(words(text)), set(words(other))
    one, another = (_script("".join(only)) for only in (ours - theirs, theirs - ours))
    return bool(one and another) and one != another


def _script(text: str) -> str:
    """Return the script of most letters, by the first word of their Unicode names; "" for none."""
    counts = Counter(
        unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()
    )
    return counts.most_common(1)[0][0] if counts else ""
