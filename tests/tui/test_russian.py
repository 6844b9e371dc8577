"""The chat in Russian: everything is translated and fits."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from memory.settings.paths import Home
from tests.tui.chat.test_snapshots import checking, settings_of
from tests.tui.seat import Seat, sitting
from tui.commands.completion import Sources, complete
from tui.commands.completion_sources import sources
from tui.terminal.sanitize import clean
from tui.widgets.composer.status_line import Status, fit
from tui.widgets.marking.contrast_card import ContrastCard

WIDE = ("漢字かな", "кафе\u0301", "👩‍👩‍👧", "е\u0308ж", "q")
"""Words whose columns are not their letters."""


@pytest.fixture
def russian(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home on a machine with a Russian locale and no language setting."""
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "ru_RU.UTF-8")
    return home


async def test_a_russian_locale_selects_russian(russian: Home) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        await seat.sees("чат, который учится на отмеченных вами ответах")
        assert "Спросите что-нибудь" in seat.shown
        assert "база" in seat.status
        await seat.asks("Столица Австралии?")
        assert "ток/с" in seat.status
        assert "первый" in seat.status
        await seat.types("/diff ошибка факт => Канберра.")
        await seat.sees(
            "Сохранено: ошибка (тактическое/факт)",
            "чтобы обучить модель, выполните /train",
            "снять",
        )
        assert "1 ждёт" in seat.status
        [mark] = seat.screen.chat.journal.differences.all()
        assert (mark.moment.value, mark.kind) == ("error", "tactical/fact")
        await seat.types("/diff =>")
        await seat.sees("После => нет текста; добавьте правильный ответ")
        await seat.types("/memory show zzz")
        await seat.sees("Нет различия с ID «zzz»; список: `discern memory list`.")
        await seat.types("/undo")
        await seat.sees("Отметка снята:")


async def test_all_screens_are_in_russian(russian: Home) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        await seat.asks("Столица Австралии?")
        await seat.types("/diff удивление гладкость")
        await seat.sees("Будет вспоминаться, но не войдёт в обучение")
        await seat.types("/help")
        await seat.sees(
            "отметить ответ: что не так и какой ответ правильный", "Enter вставить или выполнить"
        )
        await seat.hits("escape")
        await seat.types("/memory")
        await seat.sees(
            "неожиданность · интуитивное/гладкость",
            "вспоминается, но не участвует в обучении",
            "Esc",
        )
        await seat.hits("slash", *"ошибка")
        await seat.sees("Ничего не найдено.")
        await seat.hits("escape", "escape")
        await seat.types("/context")
        await seat.sees("Контекст для следующего сообщения", "всего")
        await seat.hits("escape")
        await seat.types("/threads")
        await seat.sees("1 реплика")
        await seat.types("/why")
        await seat.sees("К «Столица Австралии?» ничего не вспомнилось")
        await seat.hits("ctrl+p")
        await seat.sees("Найти команду…", "список и выбор адаптера: use ID")


async def test_the_picker_and_the_card_fit_into_80_columns(
    russian: Home, snapshot: SnapshotAssertion
) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        seat.screen.composer.cursor_blink = False
        check = checking(seat, snapshot)
        await check("empty")
        await seat.asks("Столица Австралии?")
        await seat.hits("alt+up")
        await check("a reply is chosen")
        await seat.hits("d", "e")
        await check("marking: the family")
        await seat.hits("4")
        await check("marking: the type")
        await seat.hits("3")
        await check("marking: the words")
        await seat.hits("escape", "escape")
        await seat.types("/help")
        await seat.sees("Команды")
        await check("help")


async def test_keys_work_with_a_russian_keyboard_layout_and_text_stays_russian(
    russian: Home,
) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        await seat.asks("Столица Австралии?")
        await seat.pilot.press("alt+up", "в", "у", "4", "3")  # d and e on a Latin keyboard
        await seat.pilot.press(*"вот", "enter")
        await seat.sees("Сохранено: ошибка (тактическое/факт)")
        [mark] = seat.screen.chat.journal.differences.all()
        assert mark.contrast.sounds == "вот"
        await seat.pilot.press(*"вода")
        assert seat.draft == "вода"
        await seat.pilot.press("ctrl+u", "alt+в")
        await seat.sees("отметить ответ")
        await seat.pilot.press("escape", "alt+up", "г")  # u: the mark is undone
        await seat.sees("Отметка снята:")


async def test_hint_lines_are_not_cut_at_80_columns(russian: Home) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        await seat.asks("Столица Австралии?")
        await seat.hits("alt+up")
        await seat.until(lambda: "отметить" in seat.status)
        assert "…" not in seat.status
        await seat.hits("d")
        await seat.sees("Esc нет")
        await seat.hits("escape", "escape")
        await seat.types("/diff ошибка => Канберра.")
        await seat.sees("Сохранено")
        for command, ending in (
            ("/contrast", "Esc отмена"),
            ("/memory", "Esc назад"),
            ("/compare", "Esc назад"),
            ("/context", "Esc назад"),
            ("/help", "Esc назад"),
        ):
            await seat.types(command)
            await seat.sees(ending)
            await seat.hits("escape")
            await seat.until(
                lambda: len(seat.app.screen_stack) == 2 and not seat.screen.query(ContrastCard)
            )
            await seat.until(lambda: seat.screen.composer.has_focus)


def test_the_status_line_keeps_its_most_important_parts_in_80_columns(russian_words: None) -> None:
    full = Status(
        model="Qwen3-0.6B-Q8_0", adapter="0b602957", context_used=7_900, context_size=8_192,
        speed=23.0, first_token=1.2, waiting=12, night="ночь 03:15", recalling=False,
    )  # fmt: skip
    parts = [text for text, _ in fit(full, 75)]
    assert sum(cell_len(part) + 3 for part in parts) - 3 <= 75
    assert "◆ 12 ждут" in parts
    assert "без памяти" in parts
    assert any(part.endswith("занято 96%") for part in parts)


@pytest.fixture
def russian_words() -> None:
    from memory.i18n import interface_language

    interface_language.use("ru")


def test_kinds_are_offered_and_accepted_in_russian(
    russian_words: None,
) -> None:
    from agent.chat.marking.diff_syntax import parse_mark
    from memory.kinds import kinds

    offered = complete("/diff ошибка ", sources(None))
    assert len(offered) == len(kinds())
    for offer, kind in zip(offered, kinds().values(), strict=True):
        assert any("а" <= letter <= "я" for letter in offer.label + offer.hint)
        mark = parse_mark(f"{offer.text.removeprefix('/diff ')} слово")
        assert (mark.moment, mark.kind, mark.note) == ("error", kind.name, "слово")
    assert [offer.label for offer in complete("/diff у", Sources())] == ["удачно"]


@pytest.mark.parametrize("word", WIDE)
async def test_lists_stay_aligned_whatever_their_text(russian: Home, word: str) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        await seat.asks(f"{word} и q?")
        await seat.types(f"/diff ошибка {word} => {word}.")
        await seat.types("/thread " + (word if word.isprintable() else "ещё"))
        await seat.asks("ещё?")
        await seat.types("/threads")
        await seat.sees("1 реплика")
        rows = [line for line in seat.shown.split("\n") if "реплика" in line]
        assert len({cell_len(row.partition("реплика")[0]) for row in rows}) == 1, rows
        await seat.types("/memory show " + seat.screen.chat.journal.differences.all()[0].id)
        await seat.sees("заметка")
        await _label_columns(seat, ("вопрос", "заметка", "правильный ответ"), clean(word))


async def _label_columns(seat: Seat, labels: tuple[str, ...], word: str) -> None:
    rows = [
        line for line in seat.shown.split("\n") if line.strip().startswith(labels) and word in line
    ]
    assert len(rows) == len(labels), seat.shown
    assert len({cell_len(row[: row.index(word)]) for row in rows}) == 1, rows


async def test_the_labels_of_a_card_are_aligned(russian: Home) -> None:
    async with sitting(russian, settings_of(russian)) as seat:
        await seat.asks("Столица Австралии?")
        await seat.types("/diff ошибка => Канберра.")
        await seat.sees("Сохранено")
        [mark] = seat.screen.chat.journal.differences.all()
        seat.screen.chat.memory.edit(mark.id, missed="ЪЪЪ", lost="ЪЪЪ", sounds="ЪЪЪ", note="ЪЪЪ")
        await seat.types(f"/memory edit {mark.id}")
        await seat.sees("опишите различие")
        rows = [line for line in seat.shown.split("\n") if "ЪЪЪ" in line]
        assert len(rows) == 4
        assert len({row.index("ЪЪЪ") for row in rows}) == 1, rows
        asked = [line for line in seat.shown.split("\n") if "вопрос" in line][-1]
        assert asked.index("Столица") == rows[0].index("ЪЪЪ")
