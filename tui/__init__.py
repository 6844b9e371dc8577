"""What the person sees: the terminal chat and the command line."""
