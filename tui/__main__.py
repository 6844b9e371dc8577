"""`python -m tui` is `discern`."""

from tui.cli.main import main

main()
