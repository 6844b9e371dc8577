"""The catalog contains every message of the code once, completely translated."""

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


def test_the_catalog_has_exactly_the_messages_of_the_code() -> None:
    wanted = {item.id for item in source_catalog() if item.id}
    assert wanted == {item.id for item in CATALOGUE}, "run make messages"


def test_no_message_is_untranslated_or_fuzzy() -> None:
    assert [item.id for item in CATALOGUE if not all(translations(item)) or item.fuzzy] == []


def test_plural_messages_have_three_russian_forms() -> None:
    for item in CATALOGUE:
        assert len(translations(item)) == (3 if isinstance(item.id, tuple) else 1), item.id


def test_a_translation_uses_the_placeholders_of_its_original() -> None:
    for item in CATALOGUE:
        # The s of an English plural, in templates of earlier versions, has no place in Russian.
        wanted = {name for text in _originals(item) for name in _holes(text)} - {"s"}
        for said in translations(item):
            assert _holes(said) == wanted, item.id


def test_a_translation_has_the_whitespace_and_punctuation_of_its_original() -> None:
    """It is used in the same places: sentences stay sentences, fragments stay fragments."""
    for item in CATALOGUE:
        original = _originals(item)[0]
        for said in translations(item):
            assert said.endswith(".") == original.endswith("."), item.id
            assert said.startswith(" ") == original.startswith(" "), item.id
            assert said.count("`") == original.count("`"), item.id


def test_the_compiled_catalog_matches_its_source() -> None:
    assert po_file("ru").with_suffix(".mo").read_bytes() == compile_catalog(read_catalog("ru"))


def test_a_translation_formats_its_values_like_its_original() -> None:
    for item in CATALOGUE:
        wanted = {form for text in _originals(item) for form in _forms(text)}
        for said in translations(item):
            assert _forms(said) <= wanted, item.id


def test_messages_are_constants_with_a_value_for_each_placeholder() -> None:
    """Computed text could not be translated, and its braces would be read as placeholders."""
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
