"""Scripts for maintainers, started by the Makefile; not part of the package."""
