"""Parts of a reply: selections are found in the source, and marked parts are underlined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.selection import Selection
from textual.widget import Widget

from memory.difference import Difference, Span, State, new_id, now
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.tui.seat import sitting, until
from tui.markdown.view import MarkdownView
from tui.terminal.themes import DARK, LIGHT
from tui.views.mark_status import (
    BARE,
    FAILING,
    RETAINED,
    TRAINED,
    WAITING,
    colour,
    mark_status,
    retained_ids,
)
from tui.widgets.chat.reply import Reply
from tui.widgets.marking.mark_picker import MarkPicker
from tui.widgets.marking.spans import selected, underline_spans

TEXT = """Some **bold** words and a [link](http://bold.words) here.

- first `item` of it
- second item

| a | b |
|---|---|
| left | right |

```python
print("item")
```

The end, with words."""


class Page(App[None]):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.reply = Reply(text)
        self.links: list[str] = []

    def on_markdown_view_link_clicked(self, message: MarkdownView.LinkClicked) -> None:
        self.links.append(message.href)

    def compose(self) -> ComposeResult:
        yield self.reply


def pages(reply: Widget) -> list[MarkdownView]:
    return [page for page in reply.walk_children(MarkdownView) if page.laid.text]


def place(reply: Widget, words: str) -> dict[Widget, Selection]:
    """Select words as the mouse would, wherever they are shown."""
    for widget in pages(reply):
        if words in (shown := widget.laid.text):
            at = shown.index(words)
            row, column = shown.count("\n", 0, at), at - (shown.rfind("\n", 0, at) + 1)
            return {
                widget: Selection(Offset(column, row), Offset(column + len(words), row)),
            }
    raise AssertionError(f"{words!r} is not shown")


async def whole(page: Page) -> None:
    await until(lambda: pages(page.reply))


@pytest.mark.parametrize(
    ("shown", "source"),
    [
        ("bold words", "bold** words"),
        ("words and a link here", "words and a [link](http://bold.words) here"),
        ("link", "link"),
        ("first item of", "first `item` of"),
        ("second", "second"),
        ("right", "right"),
        ('print("item")', 'print("item")'),
        ("words.", "words."),
    ],
)
async def test_text_selected_in_markdown_is_found_in_its_source(shown: str, source: str) -> None:
    page = Page(TEXT)
    async with page.run_test(size=(60, 40)) as pilot:
        await whole(page)
        await pilot.pause()
        span = selected(page.reply, TEXT, place(page.reply, shown))
        assert isinstance(span, tuple)
        assert TEXT[slice(*span)] == source


async def test_a_selection_over_blocks_reaches_from_its_first_word_to_its_last() -> None:
    page = Page(TEXT)
    async with page.run_test(size=(60, 40)) as pilot:
        await whole(page)
        await pilot.pause()
        (first, one), (last, two) = (
            next(iter(place(page.reply, words).items())) for words in ("here.", "second")
        )
        assert first is last  # one page
        both = {first: Selection(one.start, two.end)}
        span = selected(page.reply, TEXT, both)
        assert isinstance(span, tuple)
        assert TEXT[slice(*span)] == "here.\n\n- first `item` of it\n- second"


async def test_the_selected_one_of_equal_cells_is_found() -> None:
    page = Page("| a | a |\n|---|---|\n| b | a |")
    async with page.run_test(size=(60, 40)) as pilot:
        await whole(page)
        await pilot.pause()
        shown = next(iter(page.reply.walk_children(Widget)))
        for row, column, at in ((0, 0, 2), (0, 2, 6), (1, 2, 26)):
            chosen = {shown: Selection(Offset(column, row), Offset(column + 1, row))}
            assert selected(page.reply, page.reply.text, chosen) == (at, at + 1)
        over = {shown: Selection(Offset(2, 0), Offset(1, 1))}
        assert selected(page.reply, page.reply.text, over) == (6, 23)


async def test_an_ambiguous_or_empty_selection_is_refused() -> None:
    page = Page("**Some** &lt;&lt;&lt; signs")
    async with page.run_test(size=(60, 40)) as pilot:
        await whole(page)
        await pilot.pause()
        text = page.reply.text
        assert isinstance(selected(page.reply, text, place(page.reply, "<<<")), str)
        assert selected(page.reply, text, {}) == "No reply text is selected."


async def test_a_marked_part_is_underlined_until_it_is_unmarked() -> None:
    page = Page(TEXT)
    async with page.run_test(size=(60, 40)) as pilot:
        await whole(page)
        await pilot.pause()

        def lit() -> list[str]:
            return [
                widget.content.plain[span.start : span.end]
                for widget in pages(page.reply)
                for span in widget.content.spans
                if span.style == "underline"
            ]

        at = TEXT.index("bold** words")
        underline_spans(page.reply, TEXT, [(at, at + len("bold** words"))])
        assert lit() == ["bold words"]
        underline_spans(page.reply, TEXT, [])
        assert lit() == []


LIST = """Intro

1. first **item** which is long enough to be broken into two rows of words
2. second item

- third 漢字 item
- fourth"""


@pytest.mark.parametrize(
    ("begin", "end", "source"),
    [
        ((3, 3), (5, 3), "two"),  # in the second row of an item
        ((0, 2), (7, 2), "first"),  # from before its number
        (
            (9, 2),
            (8, 4),
            "item** which is long enough to be broken into two rows of words\n2. second",
        ),  # over items, to within a word
        ((0, 5), (4, 6), "thi"),  # from a blank row between two lists
        ((8, 6), (50, 6), "漢字 item"),  # wide letters, to beyond the end
        ((0, 7), (30, 7), "fourth"),
    ],
)
async def test_dragging_the_mouse_over_a_list_finds_its_source(
    begin: tuple[int, int], end: tuple[int, int], source: str
) -> None:
    page = Page(LIST)
    async with page.run_test(size=(52, 20)) as pilot:
        await pilot.pause()
        shown = page.reply.page
        await pilot.mouse_down(shown, offset=begin)
        await pilot.hover(shown, offset=end)
        await pilot.mouse_up(shown, offset=end)
        span = selected(page.reply, LIST, page.screen.selections)
        assert isinstance(span, tuple)
        assert LIST[slice(*span)] == source


async def test_a_link_shows_its_target_and_opens_nothing() -> None:
    page = Page("A [link](http://a.place/x'y) here.")
    async with page.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        await pilot.click(page.reply.page, offset=(3, 0))
        await pilot.pause()
        assert page.links == ["http://a.place/x'y"]


async def test_another_theme_is_applied_immediately() -> None:
    page = Page("Some `code`\n\n```\nblock\n```")
    page.register_theme(LIGHT)
    async with page.run_test(size=(60, 10)) as pilot:
        await pilot.pause()

        def grounds() -> set[str]:
            rows = [page.reply.page.render_line(y) for y in range(3)]
            return {str(part.style.bgcolor) for row in rows for part in row if part.style}

        dark = grounds()
        page.theme = LIGHT.name
        await until(lambda: len(grounds()) == 3 and not dark & grounds())


async def test_words_selected_with_the_mouse_become_the_span(home: Home) -> None:
    settings = read_settings(
        home,
        {
            "sampling": {"temperature": 0.0, "max_tokens": 60},
            "memory": {"dense": False},
            "night": {"enabled": False},
        },
    )
    async with sitting(home, settings) as seat:
        await seat.asks("What is 2 + 3?")
        view = seat.screen.transcript.turns[0]
        assert view.turn is not None
        shown = pages(view.reply)[0]
        word = view.turn.replied.split()[1]
        at = view.turn.replied.index(word)
        await seat.pilot.mouse_down(shown, offset=(at, 0))
        await seat.pilot.hover(shown, offset=(at + len(word), 0))
        await seat.pilot.mouse_up(shown, offset=(at + len(word), 0))
        await seat.sees("mark it")
        await seat.pilot.press("alt+d")
        await seat.until(lambda: seat.screen.query(MarkPicker))
        await seat.pilot.press("4", "3", "enter")
        await seat.sees("✓ Saved as")
        item = seat.screen.chat.journal.differences.all()[0]
        assert item.span == Span.within(item.replied, at, item.span.end if item.span else 0)
        assert item.span is not None
        assert item.span.quote.startswith(word)
        assert not seat.screen.selections


def test_a_mark_shows_its_status_as_a_sign_and_its_family_as_a_colour() -> None:
    item = Difference(new_id(), "t", "x", now(), "error", "a", "b", kind="tactical/fact")  # type: ignore[arg-type]
    signs = [WAITING, BARE, TRAINED, RETAINED, FAILING]
    assert len({one.sign for one in signs}) == 5
    states = (State.WAITING, State.BARE, State.TRAINED, State.FAILING)
    assert [mark_status(replace(item, state=state)) for state in states] == [
        WAITING,
        BARE,
        TRAINED,
        FAILING,
    ]
    assert mark_status(replace(item, state=State.TRAINED), {item.id}) is RETAINED
    assert mark_status(item, {item.id}) is WAITING
    assert colour(item, dark=True) != colour(item, dark=False) is not None
    assert colour(replace(item, kind=None), dark=True) is None
    assert colour(replace(item, kind="mine/own"), dark=True) is None


def test_without_an_adapter_nothing_counts_as_learned(tmp_path: Path) -> None:
    assert retained_ids(tmp_path / "none") == frozenset()
