"""Commands about training: train, night, report, lessons, adapters, export, demo."""
