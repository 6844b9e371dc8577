"""The two themes of Discern: greys and one accent, the amber of the mark ◆.

Text has a contrast of at least 4.5 (WCAG AA), muted text included. Colours that other
Textual themes lack are mixed from their own.
"""

from __future__ import annotations

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

LEGIBLE = 4.5
"""Minimum contrast of text (WCAG 2.2, 1.4.3)."""

DARK = Theme(
    name="discern-dark",
    dark=True,
    primary="#e3aa5c",
    secondary="#9aa3b2",
    accent="#e3aa5c",
    foreground="#d9dce3",
    background="#15171c",
    surface="#1c1f26",
    panel="#262a33",
    success="#8fbf8f",
    warning="#e3aa5c",
    error="#ef8a80",
    variables={
        "muted": "#8d95a5",
        "line": "#343a46",
        "block-cursor-background": "#343a46",
        "block-cursor-foreground": "#f2f3f6",
        "block-cursor-text-style": "none",
        "input-selection-background": "#e3aa5c 30%",
        "scrollbar": "#2c313b",
        "scrollbar-hover": "#3c4350",
        "scrollbar-active": "#e3aa5c",
        "scrollbar-background": "#15171c",
        "scrollbar-background-hover": "#15171c",
        "scrollbar-background-active": "#15171c",
        "markdown-h1-color": "#f2f3f6",
        "markdown-h2-color": "#f2f3f6",
        "markdown-h3-color": "#f2f3f6",
        "link-color": "#e3aa5c",
    },
)

LIGHT = Theme(
    name="discern-light",
    dark=False,
    primary="#8f5200",
    secondary="#5d6470",
    accent="#8f5200",
    foreground="#24272d",
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#e9e6df",
    success="#2f6b34",
    warning="#8f5200",
    error="#b3261e",
    variables={
        "muted": "#666d79",
        "line": "#d5d1c7",
        "block-cursor-background": "#dedad0",
        "block-cursor-foreground": "#16181c",
        "block-cursor-text-style": "none",
        "input-selection-background": "#8f5200 25%",
        "scrollbar": "#ddd9cf",
        "scrollbar-hover": "#c9c4b8",
        "scrollbar-active": "#8f5200",
        "scrollbar-background": "#fbfaf7",
        "scrollbar-background-hover": "#fbfaf7",
        "scrollbar-background-active": "#fbfaf7",
        "markdown-h1-color": "#16181c",
        "markdown-h2-color": "#16181c",
        "markdown-h3-color": "#16181c",
        "link-color": "#8f5200",
    },
)

THEMES: dict[str, Theme] = {theme.name: theme for theme in (DARK, LIGHT)} | BUILTIN_THEMES
"""Every theme by its name, our two first."""


def own_colours(theme: Theme) -> dict[str, str]:
    """Return the colours that our styles use and another theme may lack."""
    made = theme.to_color_system().generate()
    try:
        ground, ink = Color.parse(made["background"]), Color.parse(made["foreground"])
    except ColorParseError:  # a theme that uses the terminal's own colours
        return {"muted": made["foreground"], "line": made["foreground"]}
    if ground.ansi is not None or ink.ansi is not None:
        return {"muted": made["foreground"], "line": made["foreground"]}
    shades = (ink.blend(ground, share / 20) for share in range(9, 0, -1))
    muted = next((shade for shade in shades if contrast(shade, ground) >= LEGIBLE), ink)
    return {"muted": muted.hex, "line": ink.blend(ground, 0.75).hex}


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    parts = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in colour.normalized
    )
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))
