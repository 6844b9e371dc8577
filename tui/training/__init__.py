"""State of a training run as the screens show it."""
