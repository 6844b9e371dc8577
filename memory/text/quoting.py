"""Quote stored text in a block of recalled data, so that no line of it is mistaken for the block's own.

Each line but the first is indented, so that none can look like a line of the block. Control tokens
are not recognised in content, but tags such as `<think>` are in some vocabularies, and a model may
read them either way: such a tag is split by a space. Both are reversible.
"""

from __future__ import annotations

import re

INDENT = "    "
_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_NAMES = (
    r"think|thinking|tool_\w+|tools?|past-differences|standing-preferences|im_\w+|s|system|user"
    r"|assistant"
)
# Spaces before the name count, so that a quoted tag differs from one that had a space.
_OPENS, _CLOSES = rf"(?= *(?:\||/?\s*(?:{_NAMES})\b))", "(?= *>)"
_MARK = re.compile(rf"<{_OPENS}|\|{_CLOSES}", re.IGNORECASE)


def quoted(text: str) -> str:
    """Quote a stored text as data for a prompt."""
    apart = _MARK.sub(lambda found: f"{found[0]} ", text)
    return _LINE_END.sub(lambda found: found[0] + INDENT, apart)
