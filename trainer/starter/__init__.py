"""The starter model: the small Qwen3 that ships with Discern, and everything that makes it."""
