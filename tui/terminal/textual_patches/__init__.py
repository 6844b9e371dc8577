"""Everything that uses Textual's private names, one module for each part of Textual.

Textual is pinned exactly; `tests/tui/terminal/test_textual_patches.py` names the version.
"""
