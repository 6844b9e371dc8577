"""Evaluation of an adapter: gate, baselines, comparison."""
