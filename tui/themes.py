"""The two themes of Discern: quiet greys and one accent, the amber of the mark ◆.

Text on its background has a contrast of at least 4.5 (WCAG AA), muted text included.
"""

from __future__ import annotations

from textual.theme import Theme

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
