"""Build the starter model, the small Qwen3 that ships with Discern."""
