"""The verbs of the command line, a file for each group of them; imported when they are called."""
