"""Rules for replies: their lines, what a note says outright, and what replies keep."""

from __future__ import annotations

import pytest

from memory.errors import MarkError
from memory.reply_rules import LARGEST, ReplyRule, RuleKind, parse_rule, stated_rules

LINES = (
    "at most 40 words",
    "at most 1 sentence",
    "at least 2 paragraphs",
    "no lists",
    "a list",
    "no headings",
    "no Markdown",
    "no code block",
    "a code block",
    "starts with a code block",
    "no emoji",
    "no exclamation marks",
    "no questions",
    "ends with a question",
    "no greeting",
    "no apology",
    "no closing offer",
    "no hedging",
    "metric units",
    "addresses me with ты",
    "addresses me with вы",
    "says: metres",
    "never says: as an AI",
    "starts with: In short",
    "ends with: Over.",
)


@pytest.mark.parametrize("line", LINES)
def test_a_rule_is_written_as_it_is_read(line: str) -> None:
    assert str(parse_rule(line)) == line
    assert str(parse_rule(f"  {line.upper()} ")).lower() == line.lower()


def test_every_kind_has_a_line() -> None:
    assert {parse_rule(line).kind for line in LINES} == set(RuleKind)


@pytest.mark.parametrize(
    "line",
    [
        "", " ", "short", "at most words", "at most 0 words", "at most -1 words", "at most 2 pages",
        f"at most {LARGEST + 1} words", "at most 99999999999999999999 words", "says:", "says:  ",
        "no lists at all", "never says", "x" * 500, "says: " + "y" * 500, "\x1b[2Jno lists",
        "at most ² words",
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_with_examples(line: str) -> None:
    with pytest.raises(MarkError, match="is not a rule; write one such as"):
        parse_rule(line)


@pytest.mark.parametrize(
    ("note", "rules"),
    [
        ("Answer in one sentence.", ["at most 1 sentence"]),
        ("One sentence, please", ["at most 1 sentence"]),
        ("At most forty words", []),
        ("no more than 40 words, no bullet points", ["at most 40 words", "no lists"]),
        ("Keep it under 20 words", ["at most 19 words"]),
        ("at least three sentences", ["at least 3 sentences"]),
        ("Stop apologising.", ["no apology"]),
        ("don't use emojis or lists", ["no emoji"]),
        ("Please, no exclamation marks!", ["no exclamation marks"]),
        ("without any greeting", ["no greeting"]),
        ("Use metric units.", ["metric units"]),
        ("End with a question", ["ends with a question"]),
        ("Одним предложением, без списков", ["at most 1 sentence", "no lists"]),
        ("Не больше 30 слов", ["at most 30 words"]),
        ("до трёх строк", ["at most 3 lines"]),
        ("Обращайся ко мне на ты", ["addresses me with ты"]),
        ("не на ты, а на вы", ["addresses me with вы"]),
        ("не извиняйся, без смайликов", ["no emoji", "no apology"]),
        ("Too long.", []),
        ("The list is wrong: it lacks two words.", []),
        ("It made a list of apologies", []),
        ("The second sentence is false", []),
        ("", []),
    ],
)
def test_a_note_states_only_what_it_says(note: str, rules: list[str]) -> None:
    assert [str(rule) for rule in stated_rules(note)] == rules


CODE = "```python\nprint('a - b!')\n# Is it? Sorry.\n```"


@pytest.mark.parametrize(
    ("line", "kept", "broken"),
    [
        ("at most 3 words", "It's twenty-two metres.", "It is twenty-two metres tall."),
        ("at most 1 sentence", "Dr. Grey paid 3.5 pounds, e.g. for tea.", "It rains. Go in."),
        ("at most 1 sentence", "Really?!", "Really? Yes"),
        ("at least 2 sentences", "Wait… Now.", "Wait, now"),
        ("at most 2 lines", "a\n\nb", "a\nb\nc"),
        ("at most 1 paragraph", "a\nb\n", "a\n \nb"),
        ("at most 4 characters", " four ", "fives"),
        ("no lists", "One - two - three", "Here:\n- one\n- two"),
        ("no lists", CODE, "1. one"),
        ("a list", "1. one\n2) two", "- one"),
        ("no headings", "#tag and #1", "## Answer\nYes"),
        ("no Markdown", "2 * 3 * 4 = 24", "It is **bold**."),
        ("no code block", "Use `ls`.", CODE),
        ("a code block", f"So:\n{CODE}", "Use `ls`."),
        ("starts with a code block", CODE, f"So:\n{CODE}"),
        ("no emoji", "© 2026 → yes ✔"[:10], "Yes 🙂"),
        ("no exclamation marks", CODE, "Yes!"),
        ("no questions", CODE, "Shall we?"),
        ("ends with a question", 'It is. "And you?"', "And you? Fine."),
        ("no greeting", "High tide is at six.", "Hello! It is at six."),
        ("no greeting", "Привеска висит.", "Добрый день. Висит."),
        ("no apology", "The sorrow of it.", "I'm sorry, but no."),
        ("no apology", "Извне.", "Прошу прощения, не знаю."),
        ("no closing offer", "Yes.", "Yes. Let me know if you need more."),
        ("no hedging", "Mighty rivers flow.", "It might rain."),
        ("no hedging", "Оно идёт.", "Возможно, пойдёт дождь."),
        ("metric units", "About 10 km, 5 °C.", "About 6 miles."),
        ("metric units", "It is 20 °C.", "It is 68 °F."),
        ("addresses me with ты", "Ты прав.", "Вы правы."),
        ("addresses me with вы", "Как ваши дела?", "Как твои дела?"),
        ("says: metre", "One metre.", "Two metres."),
        ("never says: as an AI", "As an aide, I read.", "As an AI, I cannot."),
        ("starts with: In short", "  in SHORT, yes", "Yes, in short"),
        ("ends with: Over.", "Rain. Over.\n", "Over. Rain."),
    ],
)
def test_a_reply_keeps_or_breaks_a_rule(line: str, kept: str, broken: str) -> None:
    rule = parse_rule(line)
    assert rule.holds(kept)
    assert not rule.holds(broken)


def test_long_and_hostile_replies_are_checked_in_linear_time() -> None:
    """Not timed: with a quadratic pattern this would take minutes."""
    for text in ("!" * 30_000, "- " * 15_000, "```\n" * 8_000, "a.\n" * 10_000, "\n" * 30_000):
        for line in LINES:
            assert parse_rule(line).holds(text) in {True, False}
        stated_rules(text[:4000])


def test_an_empty_reply_keeps_what_forbids() -> None:
    assert ReplyRule(RuleKind.NO_LISTS).holds("")
    assert not ReplyRule(RuleKind.SAYS, text="yes").holds("")
