"""What must not change: the prompts, and the base's answers to them."""
