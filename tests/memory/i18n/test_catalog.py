"""The catalogue says all that the code says, once, whole, and as the language asks for it."""

from __future__ import annotations

import ast
from string import Formatter

from babel.messages.catalog import Message

from docs.messages import (
    compile_catalog,
    message_calls,
    po_file,
    read_catalog,
    source_catalog,
    translations,
)

CATALOGUE = [item for item in read_catalog("ru") if item.id]


def _holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _forms(text: str) -> set[tuple[str, str | None, str | None]]:
    return {
        (name, conversion, spec) for _, name, spec, conversion in Formatter().parse(text) if name
    }


def _originals(item: Message) -> tuple[str, ...]:
    return tuple(item.id) if isinstance(item.id, list | tuple) else (item.id,)


def test_it_holds_what_the_code_says_and_nothing_else() -> None:
    wanted = {item.id for item in source_catalog() if item.id}
    assert wanted == {item.id for item in CATALOGUE}, "run make messages"


def test_nothing_is_untranslated_or_only_guessed() -> None:
    assert [item.id for item in CATALOGUE if not all(translations(item)) or item.fuzzy] == []


def test_what_is_counted_has_the_three_forms_of_russian() -> None:
    for item in CATALOGUE:
        assert len(translations(item)) == (3 if isinstance(item.id, tuple) else 1), item.id


def test_a_translation_names_the_values_of_its_original() -> None:
    for item in CATALOGUE:
        # The s of an English plural, in templates of earlier versions, has no place in Russian.
        wanted = {name for text in _originals(item) for name in _holes(text)} - {"s"}
        for said in translations(item):
            assert _holes(said) == wanted, item.id


def test_a_translation_begins_and_ends_as_its_original_does() -> None:
    """It stands in the same places: a sentence stays a sentence, a part of one its part."""
    for item in CATALOGUE:
        original = _originals(item)[0]
        for said in translations(item):
            assert said.endswith(".") == original.endswith("."), item.id
            assert said.startswith(" ") == original.startswith(" "), item.id
            assert said.count("`") == original.count("`"), item.id


def test_what_gettext_reads_is_what_the_translator_wrote() -> None:
    assert po_file("ru").with_suffix(".mo").read_bytes() == compile_catalog(read_catalog("ru"))


def test_a_translation_writes_the_values_in_the_form_of_its_original() -> None:
    for item in CATALOGUE:
        wanted = {form for text in _originals(item) for form in _forms(text)}
        for said in translations(item):
            assert _forms(said) <= wanted, item.id


def test_what_is_said_is_a_constant_with_a_value_for_each_placeholder() -> None:
    """A made text could not be translated, and braces in it would be taken for placeholders."""
    for package, call, name in message_calls():
        where = f"{package}: {ast.unparse(call)}"
        template, *rest = call.args
        made = ast.JoinedStr | ast.BinOp | ast.IfExp
        assert not isinstance(template, made), where
        assert not (isinstance(template, ast.Call) and _called(template) in ("str", "format")), (
            where
        )
        if not isinstance(template, ast.Constant) or name in ("tr", "trn"):
            continue
        given = {keyword.arg for keyword in call.keywords}
        assert not rest or "n" in given, where
        for text in (template, *rest):
            assert isinstance(text, ast.Constant), where
            assert None in given or _holes(str(text.value)) == given, where


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))
