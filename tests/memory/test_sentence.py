"""A sentence is a template with its values: in English, as data, and inside an error."""

from __future__ import annotations

import json
import pickle

import pytest

from memory import errors
from memory.sentence import (
    NOTHING,
    STORED,
    Sentence,
    Stored,
    joined,
    to_plain,
    verbatim,
)

HOSTILE = """{x} {0} {a.b} {} }{ %s %(n)d 100% [bold]red[/] <b> 'it"s' \\n"""


def test_str_returns_the_english_text() -> None:
    said = Sentence("{name!r} has {size:,.1f} MB of {path}", name="a", size=1234.56, path=HOSTILE)
    assert str(said) == f"'a' has 1,234.6 MB of {HOSTILE}"


def test_braces_of_the_text_itself_are_doubled() -> None:
    assert str(Sentence("write {{job}} for {what}", what="{job}")) == "write {job} for {job}"


def test_a_placeholder_without_a_value_stays() -> None:
    assert str(Sentence("{one} and {two}", one=1)) == "1 and {two}"


def test_sentences_and_errors_are_values_of_others() -> None:
    why = errors.ModelError("the file {path} is gone", path="a")
    said = Sentence("cannot open it: {why}; {more}", why=why, more=joined([verbatim("b"), "c"]))
    assert str(said) == "cannot open it: the file a is gone; b; c"
    assert dict(said.values)["why"] == why.sentence


def test_an_empty_sentence_is_false() -> None:
    assert not NOTHING
    assert not verbatim("")
    assert str(NOTHING) == ""
    assert Sentence("a")


def test_equal_text_means_equal_sentences_and_hashes() -> None:
    assert Sentence("{a}", a=1) == Sentence("{a}", a=1)
    assert len({Sentence("{a}", a=1), Sentence("{a}", a=1), Sentence("{a}", a=2)}) == 2


@pytest.mark.parametrize(
    "said",
    [
        Sentence("no values"),
        Sentence("{n:.0%} of {text}", n=0.5, text=HOSTILE),
        Sentence("{inner}", inner=Sentence("{n}", n=3)),
        Sentence("{n} thing of {text}", "{n} things of {text}", n=1, text=HOSTILE),
        Sentence("{inner}", inner=Sentence("{n} thing", "{n} things", n=2)),
        verbatim(HOSTILE),
    ],
)
def test_a_stored_sentence_is_read_back(said: Sentence) -> None:
    record = json.loads(json.dumps(to_plain({"sentence": said, "notes": [said]})))
    assert record["sentence"] == str(said)
    assert record["notes"] == [str(said)]
    assert Stored(record).sentence(record["sentence"]) == said


def test_a_count_decides_between_two_templates() -> None:
    said = [str(Sentence("{n} mark of {all}", "{n} marks of {all}", n=n, all=2)) for n in range(3)]
    assert said == ["0 marks of 2", "1 mark of 2", "2 marks of 2"]


def test_a_sentence_stored_before_plurals_is_read() -> None:
    old = {"template": "from {count} difference{s}", "values": {"count": 2, "s": "s"}}
    stored = Stored({STORED: [old]})
    assert str(stored.sentence("from 2 differences")) == "from 2 differences"
    assert stored.sentence("from 2 differences").template == old["template"]


def test_text_stored_by_an_earlier_version_is_shown_unchanged() -> None:
    assert Stored({"sentence": HOSTILE}).sentence(HOSTILE) == verbatim(HOSTILE)


@pytest.mark.parametrize(
    "listed",
    [
        None,
        "text",
        [1, None, [], {}],
        [{"template": 1, "values": {}}],
        [{"template": "{a", "values": {"a": 1}}],
        [{"template": "a", "values": []}],
        [{"template": "{a}", "values": {"a": ["list"]}}],
        [{"template": "another text", "values": {}}],
        [{"template": "a text", "plural": "texts", "values": {}}],
        [{"template": "a text", "plural": "a text", "values": {"n": "many"}}],
        [{"template": "a", "plural": 2, "values": {"n": 2}}],
    ],
)
def test_malformed_stored_data_is_ignored(listed: object) -> None:
    assert Stored({"sentence": "a text", STORED: listed}).sentence("a text") == verbatim("a text")


def test_a_stored_template_cannot_access_attributes_or_produce_huge_text() -> None:
    listed = [
        {"template": "{a.__class__}", "values": {"a": "x"}},
        {"template": "{n:999999999}", "values": {"n": 1}},
    ]
    stored = Stored({STORED: listed})
    assert str(stored.sentence("{a.__class__}")) == "{a.__class__}"
    assert str(stored.sentence("1")) == "1"


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DiscernError)
    ],
)
def test_every_error_keeps_its_template_and_survives_pickling(
    kind: type[errors.DiscernError],
) -> None:
    cause = Sentence("it is {what}", what="gone")
    try:
        try:
            raise OSError(HOSTILE)
        except OSError as error:
            raise kind("cannot read {path}: {cause}", path=HOSTILE, cause=cause) from error
    except errors.DiscernError as error:
        raised = error
    assert str(raised) == f"cannot read {HOSTILE}: it is gone"
    assert isinstance(raised.__cause__, OSError)
    again = pickle.loads(pickle.dumps(raised))
    assert type(again) is kind
    assert str(again) == str(raised)
    assert again.sentence == raised.sentence
    assert again.cause == cause


def test_the_cause_of_an_error_leaves_out_what_the_message_around_it_says() -> None:
    plain = errors.ModelError("the model is damaged")
    assert plain.cause == plain.sentence
    damaged = errors.FileError("cannot read {path}: {cause}; fix it", path="p", cause="it is empty")
    assert str(errors.cause_of(damaged)) == "it is empty"
    missing = FileNotFoundError(2, "No such file or directory", "/a/path")
    assert str(errors.cause_of(missing)) == "No such file or directory"
    assert str(errors.cause_of(ValueError("odd"))) == "odd"
    assert str(errors.cause_of(ValueError())) == "ValueError"


def test_an_error_takes_a_plural_template() -> None:
    error = errors.NothingToTrainError("{n} mark is too new", "{n} marks are too new", n=2)
    assert str(error) == "2 marks are too new"
    assert pickle.loads(pickle.dumps(error)).sentence == error.sentence


def test_an_error_takes_a_finished_sentence() -> None:
    said = Sentence("{n} of {m}", n=1, m=2)
    assert errors.HomeError(said).sentence is said


def test_a_sentence_is_split_into_problem_and_advice_only_by_its_template() -> None:
    why = Sentence("it is odd; really")
    whole = Sentence("cannot use {path}: {why}; choose another file", path="a; b", why=why)
    problem, advice = whole.problem_and_advice()
    assert str(problem) == "cannot use a; b: it is odd; really"
    assert str(advice) == "choose another file"
    only, nothing = Sentence("cannot use {path}", path="a; b").problem_and_advice()
    assert str(only) == "cannot use a; b"
    assert not nothing
    outer, inner = Sentence("model: {why}", why=whole).problem_and_advice()
    assert (str(outer), str(inner)) == ("model: cannot use a; b: it is odd; really", str(advice))
