"""`python -m tui` is `discern`."""

from tui.cli import main

main()
