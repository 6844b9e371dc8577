"""Rules for replies that a program can check: "at most 40 words", "no lists", "says: metres".

A rule is a line that a person can read and edit. `parse_rule` reads one; `stated_rules` finds those
that a note says outright ("Answer in one sentence, please, without bullet points"), in English or
Russian. It finds nothing that is only implied. Checking is by words and characters: a rule is a
necessary sign of a manner, not all of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from memory.difference import Difference, MarkScope
from memory.errors import MarkError

LONGEST_RULE = 200
"""Longest line of a rule, in characters."""
LARGEST = 100_000
"""Largest number in a rule."""


class RuleKind(StrEnum):
    """What a rule is about; the value is its line, with `{n}` and `{unit}` or `{text}` filled in."""

    AT_MOST = "at most {n} {unit}"
    AT_LEAST = "at least {n} {unit}"
    NO_LISTS = "no lists"
    LIST = "a list"
    NO_HEADINGS = "no headings"
    NO_MARKDOWN = "no Markdown"
    NO_CODE = "no code block"
    CODE = "a code block"
    CODE_FIRST = "starts with a code block"
    NO_EMOJI = "no emoji"
    NO_EXCLAMATION = "no exclamation marks"
    NO_QUESTIONS = "no questions"
    QUESTION_LAST = "ends with a question"
    NO_GREETING = "no greeting"
    NO_APOLOGY = "no apology"
    NO_OFFER = "no closing offer"
    NO_HEDGING = "no hedging"
    METRIC = "metric units"
    INFORMAL = "addresses me with ты"
    FORMAL = "addresses me with вы"
    SAYS = "says: {text}"
    NEVER_SAYS = "never says: {text}"
    STARTS = "starts with: {text}"
    ENDS = "ends with: {text}"


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """One rule. `n` and `unit` belong to lengths, `text` to words that must or must not be said."""

    kind: RuleKind
    n: int = 0
    unit: str = ""
    text: str = ""

    def __str__(self) -> str:
        unit = self.unit.removesuffix("s") if self.n == 1 else self.unit
        return str(self.kind.value).format(n=self.n, unit=unit, text=self.text)

    def holds(self, reply: str) -> bool:
        """Whether `reply` keeps the rule. An empty reply keeps those that forbid something."""
        match self.kind:
            case RuleKind.AT_MOST:
                return _COUNTS[self.unit](reply) <= self.n
            case RuleKind.AT_LEAST:
                return _COUNTS[self.unit](reply) >= self.n
            case RuleKind.SAYS:
                return _says(reply, self.text)
            case RuleKind.NEVER_SAYS:
                return not _says(reply, self.text)
            case RuleKind.STARTS:
                return _folded(reply).startswith(_folded(self.text))
            case RuleKind.ENDS:
                return _folded(reply).endswith(_folded(self.text))
        return _CHECKS[self.kind](reply)


def parse_rule(line: str) -> ReplyRule:
    """Return the rule in a line such as "at most 40 words".

    Raises:
        MarkError: it is no rule, or too long.
    """
    text = " ".join(line.split())
    if 0 < len(text) <= LONGEST_RULE:
        if found := _LENGTH.fullmatch(text):
            kind = RuleKind.AT_MOST if found["bound"].lower() == "at most" else RuleKind.AT_LEAST
            n = int(found["n"]) if len(found["n"]) < 7 else LARGEST + 1
            if n <= LARGEST and (n or kind is RuleKind.AT_LEAST):
                return ReplyRule(kind, n, f"{found['unit'].lower()}s")
        head, colon, rest = text.partition(":")
        if colon and rest.strip() and (kind_of := _QUOTING.get(head.strip().lower())):
            return ReplyRule(kind_of, text=rest.strip())
        if kind_of := _PLAIN.get(text.lower()):
            return ReplyRule(kind_of)
    raise MarkError(
        "“{line}” is not a rule; write one such as “at most 40 words”, “no lists” or “says: metres”",
        line=text[:60],
    )


def stated_rules(note: str) -> tuple[ReplyRule, ...]:
    """Return the rules that `note` says in so many words, each kind once, in a fixed order."""
    text = _folded(note)
    found: dict[RuleKind, ReplyRule] = {}
    for pattern, kind, less in _STATED_LENGTHS:
        for match in pattern.finditer(text):
            n = _number(match["n"]) - less
            unit = next(name for start, name in _UNITS.items() if match["unit"].startswith(start))
            if 0 < n <= LARGEST:
                found.setdefault(kind, ReplyRule(kind, n, unit))
    if _ONE_SENTENCE.search(text):
        found.setdefault(RuleKind.AT_MOST, ReplyRule(RuleKind.AT_MOST, 1, "sentences"))
    for kind, pattern in _STATED.items():
        if pattern.search(text):
            found.setdefault(kind, ReplyRule(kind))
    return tuple(found[kind] for kind in RuleKind if kind in found)


@dataclass(frozen=True, slots=True)
class CheckedRule:
    """The line of a rule, and whether a reply kept it."""

    line: str
    kept: bool


def rules_of(difference: Difference) -> tuple[ReplyRule, ...]:
    """Return the rules that replies within the scope of a mark must keep.

    They are those that the user set, else those that the note states; a mark on one question has none.
    """
    if difference.scope is MarkScope.HERE:
        return ()
    if difference.rules is not None:
        return tuple(parse_rule(line) for line in difference.rules)
    return stated_rules(difference.note or "")


def check_rules(difference: Difference, reply: str) -> tuple[CheckedRule, ...]:
    """Return the rules of a mark, checked on `reply`."""
    return tuple(CheckedRule(str(rule), rule.holds(reply)) for rule in rules_of(difference))


# --- counting ----------------------------------------------------------------------------------

_FENCE = re.compile(r"^[ \t]*(```|~~~)", re.MULTILINE)
_BLOCK = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+(?=[\s\"'”’»)\]*_]|$)|\n{2,}")
_ABBREVIATED = re.compile(r"\b(?:e\.g|i\.e|etc|mr|mrs|ms|dr|st|vs|т\.е|т\.д|т\.п)\.", re.IGNORECASE)


def _without_code(text: str) -> str:
    return _BLOCK.sub("\n", text)


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _sentences(text: str) -> int:
    plain = _ABBREVIATED.sub("", _without_code(text))
    return sum(bool(_WORD.search(part)) for part in _SENTENCE_END.split(plain))


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _paragraphs(text: str) -> int:
    return sum(bool(part.strip()) for part in re.split(r"\n[ \t]*\n", text))


_COUNTS: dict[str, Callable[[str], int]] = {
    "words": _words,
    "sentences": _sentences,
    "lines": _lines,
    "paragraphs": _paragraphs,
    "characters": lambda text: len(text.strip()),
}

# --- checking ----------------------------------------------------------------------------------

_ITEM = re.compile(r"^[ \t]*(?:[-*•+–]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S|^[ \t]*\*\*[^*\n]+\*\*:?[ \t]*$", re.MULTILINE)
_MARKS = re.compile(r"\*\*\S|__\S|`|^ {0,3}>[ \t]|\]\(|^[ \t]*\|.*\|", re.MULTILINE)
_GREETING = re.compile(
    r"\W*(?:hello|hi|hey|greetings|good (?:morning|afternoon|evening|day)|dear \w+"
    r"|здравствуй(?:те)?|привет(?:ствую)?|доброе утро|добрый (?:день|вечер)|доброго (?:дня|времени))\b"
)
_APOLOGY = re.compile(
    r"\b(?:sorry|apolog(?:y|ies|i[sz]e[sd]?|i[sz]ing)|my bad|regrets?"
    r"|извин\w+|прошу прощения|прости(?:те)?|сожал\w+)\b"
)
_OFFER = re.compile(
    r"\b(?:let me know|feel free|hopes? (?:this|that) helps|(?:happy|glad) to (?:help|assist)"
    r"|anything else|(?:any|have) (?:other |further |more )?questions"
    r"|дайте знать|обращайтесь|надеюсь, (?:это|что)\w* помо\w+|рад\w? помочь"
    r"|(?:есть|остались|возникнут|появятся) (?:еще |другие )?вопросы)\b"
)
_HEDGING = re.compile(
    r"\b(?:perhaps|maybe|probably|possibly|might|seems?|i (?:think|believe|guess)|it depends|generally"
    r"|in my opinion|arguably|возможно|наверное|вероятно|может быть|кажется|я думаю|скорее всего"
    r"|по-моему)\b"
)
_IMPERIAL = re.compile(
    r"\b(?:miles?|mph|feet|foot|ft|inch(?:es)?|yards?|pounds?|lbs?|ounces?|oz|gallons?|fahrenheit"
    r"|миль|мил[яиье]|фут(?:а|ов)?|дюйм(?:а|ов)?|фунт(?:а|ов)?|фаренгейт\w*)\b|°\s*f\b"
)
_INFORMAL = re.compile(r"\b(?:ты|тебя|тебе|тобой|тобою|тво[йяеёи]\w{0,2})\b")
_FORMAL = re.compile(r"\b(?:вы|вас|вам|вами|ваш\w{0,3})\b")
_EMOJI = re.compile(r"[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\ufe0f]")
_QUESTION_END = re.compile(r"\?[\"'”’»)\]*_\s]*\Z")

_CHECKS: dict[RuleKind, Callable[[str], bool]] = {
    RuleKind.NO_LISTS: lambda text: not _ITEM.search(_without_code(text)),
    RuleKind.LIST: lambda text: len(_ITEM.findall(_without_code(text))) > 1,
    RuleKind.NO_HEADINGS: lambda text: not _HEADING.search(_without_code(text)),
    RuleKind.NO_MARKDOWN: lambda text: (
        not any(sign.search(text) for sign in (_ITEM, _HEADING, _MARKS))
    ),
    RuleKind.NO_CODE: lambda text: not _FENCE.search(text),
    RuleKind.CODE: lambda text: bool(_FENCE.search(text)),
    RuleKind.CODE_FIRST: lambda text: bool(_FENCE.match(text.lstrip("\n"))),
    RuleKind.NO_EMOJI: lambda text: not _EMOJI.search(text),
    RuleKind.NO_EXCLAMATION: lambda text: "!" not in _without_code(text),
    RuleKind.NO_QUESTIONS: lambda text: "?" not in _without_code(text),
    RuleKind.QUESTION_LAST: lambda text: bool(_QUESTION_END.search(text)),
    RuleKind.NO_GREETING: lambda text: not _GREETING.match(_folded(text)),
    RuleKind.NO_APOLOGY: lambda text: not _APOLOGY.search(_folded(text)),
    RuleKind.NO_OFFER: lambda text: not _OFFER.search(_folded(text)),
    RuleKind.NO_HEDGING: lambda text: not _HEDGING.search(_folded(text)),
    RuleKind.METRIC: lambda text: not _IMPERIAL.search(_folded(text)),
    RuleKind.INFORMAL: lambda text: not _FORMAL.search(_folded(text)),
    RuleKind.FORMAL: lambda text: not _INFORMAL.search(_folded(text)),
}


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("ё", "е").split())


def _says(reply: str, text: str) -> bool:
    """Whether `text` occurs, not as a part of longer words."""
    wanted = re.escape(_folded(text))
    return re.search(rf"(?<!\w){wanted}(?!\w)", _folded(reply)) is not None


# --- reading -----------------------------------------------------------------------------------

_LENGTH = re.compile(
    r"(?P<bound>at most|at least) (?P<n>\d+) (?P<unit>word|sentence|line|paragraph|character)s?",
    re.IGNORECASE,
)
_QUOTING = {
    str(kind.value).partition(":")[0]: kind
    for kind in (RuleKind.SAYS, RuleKind.NEVER_SAYS, RuleKind.STARTS, RuleKind.ENDS)
}
_PLAIN = {str(kind.value).lower(): kind for kind in RuleKind if "{" not in kind.value}

_NUMBERS = {
    word: number
    for number, words in enumerate(
        (
            "one a single одного одно одну одной", "two двух два две", "three трех три",
            "four четырех четыре", "five пяти пять", "six шести шесть", "seven семи семь",
            "eight восьми восемь", "nine девяти девять", "ten десяти десять",
        ),
        start=1,
    )
    for word in words.split()
}  # fmt: skip
_N = rf"(?P<n>\d{{1,6}}|{'|'.join(_NUMBERS)})"
_UNITS = {
    "word": "words", "слов": "words", "sentence": "sentences", "предложен": "sentences",
    "line": "lines", "строк": "lines", "строч": "lines", "paragraph": "paragraphs",
    "абзац": "paragraphs", "character": "characters", "символ": "characters", "знак": "characters",
}  # fmt: skip
_UNIT = rf"(?P<unit>(?:{'|'.join(_UNITS)})\w*)"
_STATED_LENGTHS: tuple[tuple[re.Pattern[str], RuleKind, int], ...] = (
    (
        re.compile(
            rf"\b(?:at most|no (?:more|longer) than|not (?:more|longer) than|max(?:imum)?(?: of)?"
            rf"|up to|within|не (?:больше|более|длиннее)|максимум|до|в пределах) {_N} {_UNIT}"
        ),
        RuleKind.AT_MOST,
        0,
    ),
    (
        re.compile(rf"\b(?:under|fewer than|less than|shorter than|below|короче) {_N} {_UNIT}"),
        RuleKind.AT_MOST,
        1,
    ),
    (
        re.compile(
            rf"\b(?:at least|no (?:fewer|less) than|min(?:imum)?(?: of)?"
            rf"|не (?:меньше|менее|короче)|минимум) {_N} {_UNIT}"
        ),
        RuleKind.AT_LEAST,
        0,
    ),
)
_ONE_SENTENCE = re.compile(
    r"\b(?:in|with|as|just|only) (?:just |only )?(?:one|a single) (?:short )?sentence\b"
    r"|\bone sentence(?: only|,|\.|$)|\bодним (?:коротким )?предложением\b|\bв одно предложение\b"
)
_NOT = (
    r"(?:no(?: more)?|without(?: any)?|avoid|skip|drop|not|never|(?:don't|dont|do not|stop|quit)"
    r"(?: (?:use|using|write|writing|say|saying|make|making|give|giving|add|adding))?"
    r"|leave out|без|не используй(?:те)?|не пиши(?:те)?|убери(?:те)?)"
    r"(?: (?:a|an|any|the|your|all|so many|these|those|всяких|лишних|этих))?"
)


def _without(things: str, *others: str) -> re.Pattern[str]:
    return re.compile("|".join((rf"\b{_NOT} (?:{things})\b", *others)))


_STATED: dict[RuleKind, re.Pattern[str]] = {
    RuleKind.NO_LISTS: _without(
        r"(?:bullet(?:ed)?(?: |-))?(?:bullets?|points|lists?)|bullet points?|списк\w+|пункт\w+"
    ),
    RuleKind.NO_HEADINGS: _without(r"headings?|headers?|headlines?|заголовк\w+"),
    RuleKind.NO_MARKDOWN: _without(
        r"markdown|formatting|маркдаун\w*|разметк\w+|форматировани\w+", r"\bplain text only\b"
    ),
    RuleKind.NO_EMOJI: _without(r"emojis?|emoticons?|smileys?|эмодзи|смайл\w+"),
    RuleKind.NO_EXCLAMATION: _without(
        r"exclamation (?:marks?|points?)|восклицательн\w+(?: знак\w+)?"
    ),
    RuleKind.NO_QUESTIONS: _without(
        r"questions?|вопрос\w+", r"\b(?:don't|do not|stop) ask(?:ing)? (?:me )?(?:any )?questions?\b"
    ),
    RuleKind.QUESTION_LAST: re.compile(
        r"\b(?:end|finish|close) with a question\b|\bзаканчивай(?:те)? вопросом\b"
    ),
    RuleKind.NO_GREETING: _without(
        r"greetings?|hello|приветств\w+", r"\b(?:don't|do not|stop) greet(?:ing)?\b",
        r"\bне здоровайся\b",
    ),
    RuleKind.NO_APOLOGY: _without(
        r"apolog(?:y|ies)|sorry|извинени\w+",
        r"\b(?:don't|do not|stop|never) apologi[sz](?:e|ing)\b", r"\bне извиняй(?:ся|тесь)\b",
    ),
    RuleKind.NO_HEDGING: _without(
        r"hedg(?:es|ing)|maybes?|оговорк\w+", r"\b(?:don't|do not) hedge\b"
    ),
    RuleKind.METRIC: re.compile(
        r"\bmetric(?: units| system)?\b|\bв метрической системе\b|\bметрическ\w+ (?:единиц|мер)\w*"
    ),
    RuleKind.INFORMAL: re.compile(r"(?<!\bне )\bна [«\"“]?ты\b"),
    RuleKind.FORMAL: re.compile(r"(?<!\bне )\bна [«\"“]?вы\b"),
}  # fmt: skip


def _number(word: str) -> int:
    return _NUMBERS.get(word) or int(word)
