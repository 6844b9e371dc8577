"""Snapshots of the larger screens in Russian at 80x24, with complete hint lines.

After an intended change, run pytest on this file with `--snapshot-update` and review the diff.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.widgets import Input

from memory.difference import Contrast, Difference, Moment, Turn
from memory.i18n import interface_language
from memory.i18n.interface_language import render
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.chat.test_snapshots import checking, settings_of
from tests.tui.recorded import BEGAN, judged, marked, recorded
from tests.tui.seat import sitting
from trainer.night import service
from trainer.report.page import report_page
from trainer.report.report import Attempt, Beside, Change, Fate, Measure, Report
from tui.screens import training
from tui.setup.setup import Choice
from tui.training.remaining_time import rough_time
from tui.views import session_rows
from tui.views.session_text import moment

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LESSONS = Sentence(
    "lessons reproduced: {share} (at least {threshold:.0%})",
    share=Sentence("{share:.1%}", share=0.667),
    threshold=0.9,
)
SENTENCE = Sentence(
    "Adapter rejected ({learnt} learned): {sentence}.",
    learnt=Sentence(
        "{right} of {lessons} lessons from {n} difference",
        "{right} of {lessons} lessons from {n} differences",
        right=1,
        lessons=2,
        n=2,
    ),
    sentence=LESSONS,
)
LIMIT = Sentence("the time limit was reached")
REPORT = Report(
    verdict="rejected",
    sentence=SENTENCE,
    started=AT,
    seconds=12.5,
    model="starter",
    fates=(
        Fate("a" * 32, "contrast", "Где море?", "На юге.", "Не знаю.", "На юге.", "learnt"),
        Fate(
            "b" * 32, "contrast", "Кто там?", "Мира.", "Не знаю.", "Не знаю.", "repelled",
            reworded=(("А кто там?", "Никого."),),
            cause=Sentence("learned only in the original wording"),
            advice=Sentence("ask again in the wording that failed and mark the reply"),
        ),
    ),
    measures=(Measure("lessons", 0.667, 0.9, False, LESSONS),),
    changes=(Change("Который час?", "Полдень.", "На юге."),),
    phases=(("train", 12.0), ("gate", 0.5)),
    beside=(Beside(Sentence("base"), 0.0, 0.0), Beside(Sentence("this adapter"), 0.5, 0.25)),
    attempts=tuple(
        Attempt(n, 6e-3 / n, 1, 40 + n, "steps", False, 1.0, LIMIT, 0.5, 0.25)
        for n in (1, 2)
    ),
)  # fmt: skip


def russian(home: Home) -> Settings:
    return settings_of(home, language="ru")


def standing(seconds: float) -> Callable[[], datetime]:
    """A clock that is stopped at this time after the start of the recorded run."""
    return lambda: BEGAN + timedelta(seconds=seconds)


async def test_a_training_in_progress_and_finished(
    home: Home, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked(home)
    judged(home, "20260101T000000")  # the estimate of the remaining time uses it
    recorded(home, 21.5, alive=True)
    monkeypatch.setattr(training, "now", standing(21.9))
    async with sitting(home, russian(home)) as seat:
        check = checking(seat, snapshot)
        await seat.types("/training")
        await seat.sees("осталось", "7 уроков", "Esc назад, обучение идёт")
        await check("under way")
        await seat.pilot.press("s")
        await seat.sees("Остановить, проверить лучшее и сохранить, если пройдёт? s да · Esc нет")
        await seat.pilot.press("a")
        await seat.sees("Прервать и ничего не сохранять? a да · Esc нет")
        await check("asking whether to abort")
        await seat.pilot.press("escape")
        recorded(home, alive=True)
        await seat.sees("✓ опубликован", "Обучение не идёт. Начать: /train.", "Enter открыть отчёт")
        await check("over")


async def test_the_sessions_screen_from_a_search_to_a_deletion(
    home: Home, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_rows, "moment", lambda at: moment(at, AT + timedelta(hours=1)))
    for number, (thread, asked, day) in enumerate(
        (("поездка", "Где море?", 60), ("поездка", "А горы?", 1), ("работа", "Что там?", 0))
    ):
        turn = Turn(f"{number:032x}", thread, AT - timedelta(days=day), asked, "На юге.", "m", None)
        with Journal(home.journal) as journal:
            journal.turns.add(turn)
            if number == 1:
                contrast = Contrast(sounds="За рекой.")
                item = Difference(
                    f"{number:032x}", turn.id, thread, AT, Moment.ERROR, asked, "На юге.",
                    kind="tactical/fact", contrast=contrast,
                )  # fmt: skip
                journal.differences.add(item)
    async with sitting(home, russian(home), thread="работа") as seat:
        check = checking(seat, snapshot)
        await seat.types("/sessions")
        await seat.sees("поездка", "2 реплики", "вчера", "сегодня", "Esc назад")
        for name in ("#search", "#line"):
            seat.app.screen.query_one(name, Input).cursor_blink = False
        await check("sessions")
        await seat.pilot.press("down", "ctrl+r")
        await seat.sees("Новое имя:", "Enter сохранить · Esc отмена")
        await seat.pilot.press("ctrl+u", *"работа", "enter")
        await seat.sees("Беседа «работа» уже есть; выберите другое имя.")
        await seat.pilot.press("escape", "ctrl+e")
        await seat.sees("Экспорт в:", "Ctrl+E Markdown или JSON · Esc отмена")
        await seat.pilot.press("escape", "ctrl+d")
        await seat.sees(
            "поездка: 2 реплики будут удалены навсегда; 1 отметка останется в памяти вместе с текстом."
        )
        await check("a session is about to be deleted")
        await seat.pilot.press("ctrl+d")
        await seat.sees("Удалены 2 реплики. 1 отметка остаётся в памяти.")


async def test_the_first_start(
    home: Home, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        Choice("starter", "starter", 4_159_392),
        Choice("download", "qwen3-8b q4_k_m", 5_002_000_000, pull=("Q/Q", "b.gguf"), fits=False),
        Choice("path", "path"),
    ]
    monkeypatch.setattr("tui.setup.model_page.choices", lambda _home: found)
    monkeypatch.setattr(service, "detect", lambda: "cron")
    async with sitting(home, russian(home), ready=False, setup=True) as seat:
        check = checking(seat, snapshot)
        await seat.sees("шаг 1 из 3: выбор модели", "слишком большая", "Esc открыть чат")
        await check("which model")
        await seat.pilot.press("end", "enter")
        seat.app.screen.query_one(Input).value = str(home.data / "none.gguf")
        await seat.pilot.press("enter")
        await seat.sees("нет (модель)")
        await seat.pilot.press("escape", "home", "enter")
        await seat.sees("шаг 2 из 3: расписание обучения", "› только по команде")
        await seat.pilot.press("up")
        await seat.sees("по системному таймеру", "Перед установкой таймер будет показан")
        seat.app.screen.query_one(Input).cursor_blink = False
        await check("training schedule")
        await seat.pilot.press("down", "enter")
        await seat.sees("шаг 3 из 3: готово", "(начальная модель)", "Enter открыть чат")
        lines = [line.split("  ") for line in seat.shown.split("\n")]
        told = [[part for part in line if part] for line in lines]
        assert ["спросите", "о чём-нибудь и прочитайте ответ"] in told


async def test_a_report(home: Home, snapshot: SnapshotAssertion) -> None:
    folder = home.runs / "20260310T120000"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(REPORT.to_json()))
    async with sitting(home, russian(home)) as seat:
        check = checking(seat, snapshot)
        await seat.types("/report")
        await seat.sees("Отчёт 1 из 1", "✗ Отклонён", "Адаптер отклонён", "Esc назад")
        await check("a report")
        await seat.pilot.press("end")
        await seat.sees("всего 12,5 с: обучение 12,0, проверка 0,5", "этот адаптер", "42 шага")
        await check("the end of a report")


def test_the_report_page_is_in_russian_too() -> None:
    english = report_page(REPORT)
    assert '<html lang="en">' in english
    assert str(SENTENCE) in english
    interface_language.use("ru")
    page = report_page(REPORT)
    assert '<html lang="ru">' in page
    for words in (
        "Отклонён: работает прежний адаптер",
        "Уроки: усвоено 1 из 2",
        "66,7%",
        "Сравнение",
    ):
        assert words in page
    for words in ("Learned", "lessons", "What", "Evaluation", "All attempts", str(SENTENCE)):
        assert words not in page


def test_times_and_remaining_times_are_formatted_in_russian() -> None:
    interface_language.use("ru")
    assert moment(AT - timedelta(days=1), AT) == "вчера"
    assert moment(AT.replace(month=5, day=3), AT) == "3 мая"
    assert moment(AT.replace(year=2025, month=8), AT) == "10 авг 2025"
    assert [rough_time(seconds) for seconds in (3, 42, 60 * 21, 60 * 22, 60 * 130)] == [
        "несколько секунд", "около 40 с", "около 21 минуты", "около 22 минут", "около 2 ч 10 мин",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            Sentence(
                "{doing} needs about {gb:.1f} GB of the {free:.1f} GB of {device} now free{more}",
                doing=Sentence("training"),
                gb=9.1,
                free=4.0,
                device=Sentence("memory"),
                more=Sentence(
                    "; close other programs, or choose a smaller model or a lower precision"
                ),
            ),
            "обучение: нужно около 9,1 ГБ, сейчас свободно 4,0 ГБ (память); закройте другие программы "
            "либо выберите модель поменьше или меньшую точность",
        ),
        (
            Sentence(
                "{why}; {done:,.0f} of {size:,.0f} MB are kept: pull again to resume",
                why=Sentence(
                    "cannot download {repo}:{file} from {endpoint} ({first})",
                    repo="a/b",
                    file="c.gguf",
                    endpoint="https://x",
                    first="broken pipe",
                ),
                done=12.0,
                size=1640.0,
            ),
            "не удалось скачать a/b:c.gguf с https://x (broken pipe); 12 из 1\xa0640 МБ сохранено: "
            "скачайте снова, и загрузка продолжится",
        ),
        (
            Sentence(
                "{path} is not a GGUF file; choose a {what} in GGUF format",
                path="/x/y.gguf",
                what=Sentence("model"),
            ),
            "/x/y.gguf — не файл GGUF; выберите файл в формате GGUF (модель)",
        ),
    ],
)
def test_statements_about_a_model_file_are_rendered(sentence: Sentence, said: str) -> None:
    interface_language.use("ru")
    assert render(sentence) == said


def test_the_estimate_of_a_night_is_rendered() -> None:
    from agent.models.compatibility import ESTIMATE

    interface_language.use("ru")
    said = render(
        Sentence(
            "nightly training takes about {whole} ({estimate}); training.max_minutes stops it after "
            "{limit:g} min",
            whole=Sentence("{n} minute", "{n} minutes", n=12),
            estimate=ESTIMATE,
            limit=10.0,
        )
    )
    assert said.startswith("ночное обучение занимает около 12 мин (для десяти различий, ")
    assert said.endswith("; training.max_minutes остановит его через 10 мин")
