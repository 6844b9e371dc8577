"""Training commands: train, night, report, lessons, adapters, export, demo."""
