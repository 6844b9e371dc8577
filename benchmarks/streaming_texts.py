"""The replies that streaming and opening are measured with."""

from __future__ import annotations

import re

TEXTS = {
    "paragraphs": "".join(
        f"Paragraph {n} says *something* about the `weather` of day {n}, in **words** enough to be "
        "wrapped once or twice at the width of a terminal, as paragraphs are.\n\n"
        for n in range(20)
    ),
    "list": "".join(f"- item **{n}** of many\n" for n in range(500)),
    "table": "| number | name | what it is |\n|---:|---|---|\n"
    + "".join(f"| {n} | `row{n}` | some words about it |\n" for n in range(80)),
    "fence": "```python\n"
    + "".join(
        f'def greet{n}(name: str) -> str:\n    """Say {n}."""\n    return f"{{name}} {n}"\n\n\n'
        for n in range(50)
    )
    + "```\n",
}
LONG = "\n\n".join(
    (
        "## What there is to say\n\nSome **bold** words, *emphasis*, `code` and a "
        "[link](http://a.place), and then more words, so that the lines are wrapped around.",
        "\n".join(f"- item {n}, with `code` in it and some words" for n in range(12)),
        "```python\n"
        + "\n".join(f"def f{n}(x): return x + {n}  # add" for n in range(12))
        + "\n```",
        "| name | what it is |\n|---|---|\n" + "\n".join(f"| n{n} | words |" for n in range(8)),
        "\n".join(f"{n}. numbered, and then some words" for n in range(1, 11)),
    )
    * 2
)


def chunks(text: str) -> list[str]:
    """Split a text after its words, like the tokens of a model."""
    return re.findall(r"\S+\s*|\s+", text)
