"""The terminal: sanitizing text, input order, themes, signals, crashes."""
