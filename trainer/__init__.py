"""Trainer: from marked differences to an adapter that proved itself."""
