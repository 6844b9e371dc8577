"""English: the names and nouns that a question is about, and others of their kind. Pure."""

from __future__ import annotations

import random
import re

from memory.text.stemming import plain
from trainer.lessons.entities.entity import Entity, table
from trainer.lessons.rephrase import count_content_words

PEOPLE = 24
"""Number of first and of last names that are combined."""
ALIKE = 12
"""Number of words that are put in the place of one word of a name."""
_QUOTED = re.compile(r"[«“\"]([^«»“”\"]{2,80})[»”\"]")
_PROPER = r"[A-ZА-ЯЁ][\w’'.-]*\w"
_JOINING = r"(?:(?:of|the|de|da|di|von|van|der|la|le|del)\s+){0,2}"
_NAME = re.compile(rf"{_PROPER}(?:\s+{_JOINING}{_PROPER})*(?:\s+\([^()]+\))?")
_DETERMINER = re.compile(
    r"\b(?:the|an?|my|your|our|his|her|their|this|that(?!\s+(?:is|are|was|were|ha[sd]|have|can|will)\b))"
    r"\s+",
    re.IGNORECASE,
)
_PHRASE = re.compile(r"[a-z][\w’'-]*(?:\s+[a-z][\w’'-]*){0,3}")
_OF_BARE = re.compile(r"\bof (?P<word>[a-z][\w’'-]+)\W*$")
_SEVERAL = re.compile(
    r"(?:^(?:which|what)|\b(?:list|name)(?:\s+\w+)?)\s+(?P<word>[a-z]+[^\Ws]s)\b",
    re.IGNORECASE,
)
_SHIP = re.compile(r"(USS|HMS|RMS|SS)\s")
_INVERTED = re.compile(r"(?:^|\s)(?:does|do|did|can|could|will|would|should)\s+$", re.IGNORECASE)
_IS_FIRST = re.compile(r"^(?:is|are|was|were|has|have|had)\s+$", re.IGNORECASE)


def find(asked: str) -> list[Entity]:
    """Return the names, or else the nouns, that a question is about, the most telling first."""
    found: list[Entity] = []
    for quoted in _QUOTED.finditer(asked):
        found.append(Entity(quoted[1], quoted.start(1), quoted.end(1), "work"))
    spans = [(one.start, one.end) for one in found]
    for match in _NAME.finditer(asked):
        start, text = match.start(), match[0]
        while text and text.split()[0].lower().removesuffix("'s") in table("english")["opening"]:
            if start > 0 and text.split()[0] in ("The", "A") and len(text.split()) > 1:
                break  # "Who wrote The Blue Book?"
            rest = text.split(None, 1)
            start, text = (start + text.index(rest[1]), rest[1]) if len(rest) > 1 else (start, "")
        text = re.sub(r"['’]s$", "", text)
        if not text or (start == 0 and len(text.split()) == 1 and not _listed(text)):
            continue  # "Hello!": the first word has a capital in any case
        if any(low <= start < high for low, high in spans):
            continue
        found.append(_named(asked, text, start))
    found.reverse()  # the last one is usually asked about
    return found or _common_noun(asked)


def _named(asked: str, text: str, start: int) -> Entity:
    end = start + len(text)
    words = table("english")
    last = text.split()[-1].lower()
    heads = {head: kind for kind, some in words["heads"].items() for head in some}
    if _SHIP.match(text):
        return Entity(text, start, end, "ship", text.split()[0])
    if last in heads and len(text.split()) > 1:
        return Entity(text, start, end, heads[last], text.split()[-1])
    following = re.match(r"\s+([a-z]+)", asked[end:])
    before = re.search(r"([a-z]+) of (?:the )?$", asked[:start])
    if following and following[1] in heads:
        return Entity(text, start, end, "modifier")
    if before and before[1] in ("city", "country", "state", "republic", "kingdom", "capital"):
        return Entity(text, start, end, "place")
    if before and heads.get(before[1]) == "place":
        return Entity(text, start, end, "modifier")  # "the tower of Nemor"
    return Entity(text, start, end, _listed(text) or _cued(asked) or _by_form(text))


def _listed(text: str) -> str:
    """Return the kind of a listed name; "" for others."""
    words = table("english")
    lists = {
        "person": words["people"], "place": (*words["countries"], *words["cities"]),
        "nature": words["nature"], "work": words["works"],
        "organisation": words["organisations"], "software": words["software"],
        "event": words["events"],
    }  # fmt: skip
    for kind, names in lists.items():
        if text in names or f"the {text}" in names:
            return kind
    return "person" if text.split()[0] in words["first"] else ""


def _cued(asked: str) -> str:
    """Return the kind that the words of a question suggest; "" for none."""
    low = plain(asked)
    for kind, cues in table("english")["cues"].items():
        if any(re.search(rf"\b{re.escape(cue)}\b", low) for cue in cues):
            return str(kind)
    return ""


def _by_form(text: str) -> str:
    if text.isupper() and len(text) > 1:  # NATO
        return "organisation"
    return "person" if 2 <= len(text.split()) <= 3 else "any"


def _common_noun(asked: str) -> list[Entity]:
    """Return the nouns that have an article, the last first, or else the last known word."""
    found: list[Entity] = []
    closing = table("english")["closing"]

    def add(word: str, start: int, after: str = "") -> None:
        if _singular(word.lower()) in table("english")["times"]:
            return  # "this week" tells when, not what
        known = bool(after or _class_of(word.lower()))
        found.append(Entity(word, start, start + len(word), "thing", is_known=known, after=after))

    for match in _DETERMINER.finditer(asked):
        phrase = _PHRASE.match(asked, match.end())
        if phrase is None:
            continue
        words = phrase[0].split()
        ends = next((n for n, word in enumerate(words) if word in closing), len(words))
        last = ends == len(words) and not re.match(r"\s+\w", asked[phrase.end() :])
        words = words[:ends]
        before = asked[: match.start()]
        if last and len(words) > 1 and (_INVERTED.search(before) or _IS_FIRST.search(before)):
            words = words[:-1]  # "does the bakery close", "is the bridge open"
        if words:
            add(words[-1], match.end() + len(" ".join(words)) - len(words[-1]))
    if bare := _OF_BARE.search(asked):
        add(bare["word"], bare.start("word"), asked[: bare.start("word")])
    if not found and (several := _SEVERAL.search(asked)):
        add(several["word"], several.start("word"))
    if found:
        return found[::-1]
    # Without an article it may be a verb ("Where do you live?"): only known words are exchanged.
    for match in [*re.finditer(r"[A-Za-z][\w’'-]{2,}", asked)][::-1]:
        known = _class_of(match[0].lower())
        # An adjective has no others of its kind: "rich in vitamin C".
        if match.start() > 0 and count_content_words(match[0]) and known not in ("", "qualities"):
            add(match[0], match.start())
            break
    return found


_CLASSES = (
    "animals", "family", "buildings", "objects", "foods", "elements", "ideas", "qualities", "acts",
)  # fmt: skip
_CONCRETE = ("animals", "buildings", "objects", "foods", "elements")


def _class_of(noun: str) -> str:
    words = table("english")
    one = _singular(noun)
    return next((name for name in _CLASSES if noun in words[name] or one in words[name]), "")


def _singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x")) else "s")


def candidates(entity: Entity, order: random.Random) -> list[str]:
    """Return listed names or nouns of the kind of `entity`, some of them drawn."""
    words = table("english")
    if entity.kind == "thing":
        return _common_candidates(entity, order)
    if entity.kind == "event":
        return list(words["events"])
    if entity.kind == "ship":
        return [f"{entity.head} {text}" for text in (*words["last"], *words["modifiers"])]
    if entity.head:
        modifiers = [*words["modifiers"], *words["last"]]
        return [f"{text} {entity.head}" for text in modifiers]
    if entity.kind == "modifier":
        return [*words["modifiers"], *words["last"]]
    if entity.kind == "person":
        return _people(entity, order)
    lists = {
        "nature": words["nature"], "work": words["works"], "software": words["software"],
        "organisation": words["organisations"],
    }  # fmt: skip
    if entity.kind in lists:
        return list(lists[entity.kind])
    if entity.kind == "place":
        if entity.text in words["cities"]:
            return list(words["cities"])
        return [*words["countries"], *words["cities"][:20]]
    return [
        *order.sample(words["people"], 8), *order.sample(words["countries"], 8),
        *order.sample(words["cities"], 8), *order.sample(words["works"], 6),
        *order.sample(words["organisations"], 8), *words["last"][:8],
    ]  # fmt: skip


def alike(entity: Entity, order: random.Random) -> list[str]:
    """Return names that share all words but one with `entity`; none for a single word.

    A name with a head ("Charity Creek") shares it with all its `candidates`.
    """
    words, parts = table("english"), entity.text.split()
    named = [place for place, part in enumerate(parts) if part[:1].isupper() and part != "The"]
    if entity.head or entity.kind in ("thing", "modifier", "event") or len(named) < 2:
        return []
    if entity.kind == "person":
        first, last = words["first"], words["last"]
    else:
        first = last = [text.capitalize() for text in (*words["elements"], *words["objects"])]
    made = []
    for pair in zip(order.sample(last, ALIKE), order.sample(first, ALIKE), strict=True):
        for place, text in zip((named[-1], named[0]), pair, strict=True):
            made.append(" ".join([*parts[:place], text, *parts[place + 1 :]]))
    return made


def _people(entity: Entity, order: random.Random) -> list[str]:
    words = table("english")
    if len(entity.text.split()) == 1:
        pool = words["first"] if entity.text in words["first"] else words["last"]
        return [*pool, *(name for name in words["people"] if " " not in name)]
    names = (order.sample(words[part], PEOPLE) for part in ("first", "last"))
    made = [f"{first} {last}" for first, last in zip(*names, strict=True)]
    return [*made, *order.sample(words["people"], PEOPLE // 2)]


def _common_candidates(entity: Entity, order: random.Random) -> list[str]:
    words, noun = table("english"), entity.text.lower()
    name = "qualities" if entity.after.endswith("opposite of ") else _class_of(noun)
    many = noun.endswith("s") and _singular(noun) != noun and len(noun) > 3
    pool = (
        list(words[name])
        if name
        else [text for one in _CONCRETE for text in order.sample(words[one], 8)]
    )
    made = [_plural(text) if many and name not in ("ideas", "qualities") else text for text in pool]
    capital = entity.text[:1].isupper()
    return [text.capitalize() if capital else text for text in made]
