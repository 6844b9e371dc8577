"""Removal of control sequences from untrusted text."""

from __future__ import annotations

import random
import unicodedata

import pytest

from tui.terminal.sanitize import LONGEST_SEQUENCE, StreamCleaner, clean, one_line


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain text, русский, 日本語, é e\u0301 👍", "plain text, русский, 日本語, é e\u0301 👍"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nbc"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone?", "gone?"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9d52;c;cGFzdGU=\x9cafter", "after"),
        ("\x1bPq#0;2;0;0;0\x1b\\after", "after"),
        ("\x1b_apc\x1b\\x", "x"),
        ("\x1bc\x1b7\x1b(Bx", "x"),
        ("half \x1b", "half "),
        ("half \x1b[12", "half "),
        ("never closed \x1b]0;title\nnext line", "never closed \nnext line"),
        ("\x00\x07\x08\x0b\x0c\x7f\x80\x85x", "x"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("\u2066\u2069\u200e\u200f\u061cx", "x"),
        ("ze\u200b\u2060\ufeff\xadro", "zero"),
        ("می\u200cخواهم 👩\u200d👩\u200d👧", "می\u200cخواهم 👩\u200d👩\u200d👧"),
        ("lone \ud800 surrogate \udfff", "lone  surrogate "),
        ("tag\U000e0041\U000e007f", "tag"),
        ("line\u2028line\u2029line", "line\nline\nline"),
        ("[b]kept[/b] [@click=app.quit]as is[/]", "[b]kept[/b] [@click=app.quit]as is[/]"),
    ],
)  # fmt: skip
def test_control_sequences_are_removed_and_other_text_is_kept(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown
    assert clean(shown) == shown


def test_an_unterminated_sequence_hides_a_bounded_part() -> None:
    text = "\x1b]0;" + "x" * (LONGEST_SEQUENCE + 500)
    assert len(clean(text)) == 500 + len("0;")


PARTS = [
    "a", "Ж", "日", "\n", "\t", "\r", "\x1b", "\x1b[", "[", "]", "1", ";", "m", "\x9b", "\x9d", "\x9c",
    "\x07", "\\", "\x1b]", "\x1b\\", "P", "(", " ", "\u202e", "\u2028", "\ud800", "\x00", "\x7f",
    "y" * (LONGEST_SEQUENCE - 2), "0" * 63, "/" * 15,
]  # fmt: skip


def test_a_sanitized_stream_does_not_depend_on_its_chunks() -> None:
    dice = random.Random(7)
    for _ in range(3000):
        whole = "".join(dice.choices(PARTS, k=dice.randint(1, 14)))
        cleaner = StreamCleaner()
        shown = ""
        rest = whole
        while rest:
            cut = dice.randint(1, dice.choice([1, 2, 5, len(rest)]))
            shown += cleaner.feed(rest[:cut])
            rest = rest[cut:]
        shown += cleaner.finish()
        assert shown == clean(whole), whole
        assert not any(
            unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in shown
        )


def test_plain_text_is_not_delayed() -> None:
    cleaner = StreamCleaner()
    assert cleaner.feed("at once ") == "at once "
    assert cleaner.feed("and \x1b[3") == "and "
    assert cleaner.feed("1mred") == "red"
    assert cleaner.finish() == ""


def test_no_format_or_control_character_of_unicode_passes_but_visible_ones() -> None:
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    visible |= set(range(0x13430, 0x13460))  # joins of hieroglyphs
    visible |= {0x200C, 0x200D}  # joins of letters and emoji
    passed = [
        hex(point)
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and point not in visible
        and clean(chr(point)) not in ("", "\n", "\t")
    ]
    assert passed == []


def test_one_line_fits_its_columns() -> None:
    assert one_line("a\n b\t\x1b[1mc") == "a b c"
    assert one_line("short", 10) == "short"
    assert one_line("twelve letters", 10) == "twelve le…"
    assert one_line("日本語日本語", 6) == "日本…"
    assert one_line("", 5) == ""
