"""The status line: its content, and what it drops when space is short."""

from __future__ import annotations

from tui.widgets.composer.status_line import Status, fit

USUAL = Status(
    model="qwen", adapter="abcdef0123456789", context_used=120, context_size=512, speed=31.4
)


def text(status: Status, width: int = 100) -> str:
    return " │ ".join(part for part, _style in fit(status, width))


def test_the_adapter_scale_is_shown_only_if_reduced() -> None:
    assert "qwen · abcdef01 │" in text(USUAL)
    lowered = Status(model="qwen", adapter="abcdef0123456789", scale=0.5)
    assert text(lowered) == "qwen · abcdef01 ×0.5"
    assert text(Status(model="qwen", scale=0.5)) == "qwen · base"


def test_the_time_to_the_first_token_is_dropped_first_when_space_is_short() -> None:
    status = Status(model="qwen", context_used=9, context_size=512, speed=31.4, first_token=0.42)
    assert text(status) == "qwen · base │ 9/512 │ 31 tok/s │ first token 0.42 s"
    assert text(status, 35) == "qwen · base │ 9/512 │ 31 tok/s"


def test_a_nearly_full_context_is_shown_in_words_and_colour() -> None:
    near = Status(model="qwen", context_used=450, context_size=512)
    assert ("450/512 88% full", "full") in fit(near, 80)
    assert ("120/512", "") in fit(USUAL, 80)
