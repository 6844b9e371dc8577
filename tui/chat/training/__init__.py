"""Trainings in an open chat: running and showing them, and sharing the GPU and the idle time."""
